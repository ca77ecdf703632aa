/**
 * Messages of the process events connector: nlmsghdr · cn_msg · proc_event.
 * Source: include/uapi/linux/cn_proc.h, linux/connector.h, linux/netlink.h; drivers/connector/cn_proc.c.
 * All in native byte order, which is little-endian on the machines that we run on.
 */
export const CN_IDX_PROC = 1;
const CN_VAL_PROC = 1;

export const PROC_EVENT_EXEC = 0x2;
export const PROC_EVENT_COMM = 0x200;
export const PROC_EVENT_EXIT = 0x8000_0000;

const PROC_CN_MCAST_LISTEN = 1;
const PROC_CN_MCAST_IGNORE = 2;

const NLMSG_DONE = 3;
const NLMSGHDR_BYTES = 16;
const CN_MSG_BYTES = 20;
const PROC_EVENT_HEADER_BYTES = 16;

/** Offsets from the start of the datagram. The socket filter uses them too. */
export const OFFSET = {
  cnIdx: NLMSGHDR_BYTES,
  cnVal: NLMSGHDR_BYTES + 4,
  what: NLMSGHDR_BYTES + CN_MSG_BYTES,
  pid: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES,
  tgid: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES + 4,
  exitCode: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES + 8,
  comm: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES + 8,
} as const;

/** Returns a word of a little-endian message as a socket filter loads it: always as big-endian. */
export function asLoaded(word: number): number {
  const bytes = new DataView(new ArrayBuffer(4));
  bytes.setUint32(0, word, true);
  return bytes.getUint32(0);
}

// Bytes of the event data: two pids, then for exit u32 exit_code and u32 exit_signal (from Linux 4.18 also the
// parent), for comm char[16].
const BODY_BYTES = new Map([
  [PROC_EVENT_EXEC, 8],
  [PROC_EVENT_COMM, 24],
  [PROC_EVENT_EXIT, 16],
]);

export interface RawEvent {
  /** "thread-exit" is the end of another thread than the first. `pid` is that of the process all the same. */
  kind: "exec" | "comm" | "exit" | "thread-exit";
  pid: number;
  /** 0 for every kind but the two exits. */
  waitStatus: number;
  /** When the kernel created the event: CLOCK_MONOTONIC, µs. */
  atUsec: number;
}

/**
 * Decodes one datagram of `length` bytes; the kernel puts exactly one message into each. `"other"` is a
 * well-formed message of another kind: an acknowledgement, a fork, another connector.
 */
export function decodeProcEvent(datagram: DataView, length: number): RawEvent | "other" | "malformed" {
  if (length > datagram.byteLength || length < NLMSGHDR_BYTES) return "malformed";
  const messageBytes = datagram.getUint32(0, true);
  if (messageBytes < NLMSGHDR_BYTES || messageBytes > length) return "malformed";
  if (datagram.getUint16(4, true) !== NLMSG_DONE) return "other";
  if (messageBytes < OFFSET.what) return "malformed";
  if (datagram.getUint32(OFFSET.cnIdx, true) !== CN_IDX_PROC) return "other";
  if (datagram.getUint32(OFFSET.cnVal, true) !== CN_VAL_PROC) return "other";
  const seq = datagram.getUint32(OFFSET.cnIdx + 8, true);
  const ack = datagram.getUint32(OFFSET.cnIdx + 12, true);
  const dataBytes = datagram.getUint16(OFFSET.cnIdx + 16, true);
  if (seq !== datagram.getUint32(8, true)) return "malformed";
  if (dataBytes < PROC_EVENT_HEADER_BYTES || OFFSET.what + dataBytes > messageBytes) return "malformed";
  const what = datagram.getUint32(OFFSET.what, true);
  const bodyBytes = BODY_BYTES.get(what);
  if (bodyBytes === undefined) return "other";
  // Only acknowledgements carry a number here; events do not.
  if (ack !== 0 || dataBytes < PROC_EVENT_HEADER_BYTES + bodyBytes) return "malformed";
  const thread = datagram.getInt32(OFFSET.pid, true);
  const pid = datagram.getInt32(OFFSET.tgid, true);
  if (thread <= 0 || pid <= 0) return "malformed";
  const isFirstThread = thread === pid;
  const [low, high] = [datagram.getUint32(OFFSET.what + 8, true), datagram.getUint32(OFFSET.what + 12, true)];
  const atUsec = Math.floor((high * 2 ** 32 + low) / 1000);
  if (what === PROC_EVENT_EXIT) {
    const waitStatus = datagram.getUint32(OFFSET.exitCode, true);
    return { kind: isFirstThread ? "exit" : "thread-exit", pid, waitStatus, atUsec };
  }
  if (!isFirstThread) return "other";
  return { kind: what === PROC_EVENT_EXEC ? "exec" : "comm", pid, waitStatus: 0, atUsec };
}

const ALL_EVENTS = (PROC_EVENT_EXEC | PROC_EVENT_COMM | PROC_EVENT_EXIT) >>> 0;

/**
 * Returns the messages that turn the events on, in the order in which they must be sent. Every kernel
 * understands the first one, which requests all events. The second one carries a mask of the wanted events;
 * kernels before 6.6 ignore it silently.
 */
export function encodeListen(mask = ALL_EVENTS): Uint8Array[] {
  return [encodeControl([PROC_CN_MCAST_LISTEN]), encodeControl([PROC_CN_MCAST_LISTEN, mask])];
}

/** Turns the events off. Send it before closing the socket, which kernels before 6.6 do not notice. */
export const encodeIgnore = (): Uint8Array => encodeControl([PROC_CN_MCAST_IGNORE]);

function encodeControl(words: number[]): Uint8Array {
  const dataBytes = words.length * 4;
  const message = new DataView(new ArrayBuffer(OFFSET.what + dataBytes));
  message.setUint32(0, message.byteLength, true);
  message.setUint16(4, NLMSG_DONE, true);
  message.setUint32(OFFSET.cnIdx, CN_IDX_PROC, true);
  message.setUint32(OFFSET.cnVal, CN_VAL_PROC, true);
  message.setUint16(OFFSET.cnIdx + 16, dataBytes, true);
  for (const [index, word] of words.entries()) message.setUint32(OFFSET.what + index * 4, word, true);
  return new Uint8Array(message.buffer);
}
