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

/** Offsets from the start of the datagram; a socket filter needs them too. */
export const OFFSET = {
  cnIdx: NLMSGHDR_BYTES,
  cnVal: NLMSGHDR_BYTES + 4,
  what: NLMSGHDR_BYTES + CN_MSG_BYTES,
  pid: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES,
  tgid: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES + 4,
  exitCode: NLMSGHDR_BYTES + CN_MSG_BYTES + PROC_EVENT_HEADER_BYTES + 8,
} as const;

// What follows the two pids: exit has u32 exit_code, u32 exit_signal (and the parent from 4.18 on), comm has char[16]
const BODY_BYTES: Readonly<Record<number, number>> = {
  [PROC_EVENT_EXEC]: 8,
  [PROC_EVENT_COMM]: 24,
  [PROC_EVENT_EXIT]: 16,
};

export interface RawEvent {
  /** "thread-exit" is the end of a thread that is not its process's first; `pid` is the process's all the same. */
  kind: "exec" | "comm" | "exit" | "thread-exit";
  pid: number;
  /** 0 unless it is an exit. */
  waitStatus: number;
  /** When the kernel made the event: CLOCK_MONOTONIC, µs. */
  atUsec: number;
}

/** `"other"` is a well-formed message about something else: an acknowledgement, a fork, another connector. */
export type Decoded = RawEvent | "other" | "malformed";

/** Decodes one datagram of `length` bytes; the kernel puts exactly one message into each. */
export function decodeProcEvent(datagram: DataView, length: number): Decoded {
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
  const bodyBytes = BODY_BYTES[what];
  if (bodyBytes === undefined) return "other";
  // An event is nobody's answer: only acknowledgements carry a number here
  if (ack !== 0 || dataBytes < PROC_EVENT_HEADER_BYTES + bodyBytes) return "malformed";
  return decodeBody(datagram, what);
}

function decodeBody(datagram: DataView, what: number): Decoded {
  const thread = datagram.getInt32(OFFSET.pid, true);
  const pid = datagram.getInt32(OFFSET.tgid, true);
  if (thread <= 0 || pid <= 0) return "malformed";
  const isFirstThread = thread === pid;
  const atUsec = readUsec(datagram, OFFSET.what + 8);
  if (what === PROC_EVENT_EXIT) {
    const waitStatus = datagram.getUint32(OFFSET.exitCode, true);
    return { kind: isFirstThread ? "exit" : "thread-exit", pid, waitStatus, atUsec };
  }
  if (!isFirstThread) return "other";
  return { kind: what === PROC_EVENT_EXEC ? "exec" : "comm", pid, waitStatus: 0, atUsec };
}

function readUsec(datagram: DataView, offset: number): number {
  const nsec = datagram.getUint32(offset + 4, true) * 2 ** 32 + datagram.getUint32(offset, true);
  return Math.floor(nsec / 1000);
}

/**
 * The messages that turn the events on, to be sent in this order.
 *
 * The first is understood by every kernel and asks for all events. The second, with a mask of the events
 * wanted, is understood from Linux 6.6 on; older kernels ignore it without a word, so that no version
 * has to be guessed.
 */
export function encodeListen(): Uint8Array[] {
  const mask = (PROC_EVENT_EXEC | PROC_EVENT_COMM | PROC_EVENT_EXIT) >>> 0;
  return [encodeControl([PROC_CN_MCAST_LISTEN]), encodeControl([PROC_CN_MCAST_LISTEN, mask])];
}

/** Kernels before 6.6 count listeners and never notice that one is gone: this is to be sent before the socket is closed. */
export function encodeIgnore(): Uint8Array {
  return encodeControl([PROC_CN_MCAST_IGNORE]);
}

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
