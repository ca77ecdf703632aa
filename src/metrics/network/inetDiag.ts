/**
 * Questions about TCP connections and the kernel's answers: sock_diag(7), include/uapi/linux/inet_diag.h. Addresses and
 * ports are in network byte order; everything else is little-endian on all supported architectures.
 */

// struct nlmsghdr { u32 len; u16 type; u16 flags; u32 seq; u32 port; }
const HEADER_BYTES = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_MULTI = 2;
const NLM_F_DUMP = 0x300;
const SOCK_DIAG_BY_FAMILY = 20;

// struct inet_diag_sockid { be16 sport; be16 dport; be32 src[4]; be32 dst[4]; u32 if; u32 cookie[2]; }
const SOCKID_BYTES = 48;
// struct inet_diag_req_v2 { u8 family; u8 protocol; u8 ext; u8 pad; u32 states; struct inet_diag_sockid id; }
const REQUEST_BYTES = 8 + SOCKID_BYTES;
// struct inet_diag_msg { u8 family; u8 state; u8 timer; u8 retrans; struct inet_diag_sockid id;
//                        u32 expires; u32 rqueue; u32 wqueue; u32 uid; u32 inode; }
const MESSAGE_BYTES = 4 + SOCKID_BYTES + 20;

const AF_INET = 2;
const AF_INET6 = 10;
export const FAMILIES = [AF_INET, AF_INET6] as const;
const IPPROTO_TCP = 6;
/** The attribute with `struct tcp_info`. */
const INET_DIAG_INFO = 2;

// include/net/tcp_states.h
const TCP_TIME_WAIT = 6;
const TCP_LISTEN = 10;
/** A listening socket has no connection, and one that waits for stray packets belongs to no process any more. */
const CONNECTED_STATES = 0xfff & ~((1 << TCP_TIME_WAIT) | (1 << TCP_LISTEN));

/** A connection as the kernel identifies it: family, addresses, interface and a cookie that is never used again. */
export interface ConnectionId {
  readonly family: number;
  readonly sockid: Uint8Array;
}

/** The counters of a connection since its start, and its queues now. `null`: an older kernel does not count it. */
export interface ConnectionState {
  /** Bytes that the other side has acknowledged. Linux 4.1. */
  readonly ackedBytes: number | null;
  /** Bytes that have arrived. Linux 4.1. */
  readonly receivedBytes: number | null;
  /** Bytes that were sent again. Linux 4.19. */
  readonly retransmittedBytes: number | null;
  /** Bytes that the program has written and that are not acknowledged yet: sent or not. */
  readonly sendQueueBytes: number;
  /** Bytes that have arrived and that the program has not read yet. */
  readonly receiveQueueBytes: number;
  /** Time in which the receiver's window alone held the sending back, µs. Linux 4.9. */
  readonly windowLimitedUsec: number | null;
}

/** Asks for all TCP connections of one family. */
export function encodeDump(family: number): Uint8Array {
  return encode({ family, sockid: new Uint8Array(SOCKID_BYTES) }, NLM_F_REQUEST | NLM_F_DUMP, 0);
}

/** Asks for the state of one connection. */
export function encodeQuery(connection: ConnectionId): Uint8Array {
  return encode(connection, NLM_F_REQUEST, 1 << (INET_DIAG_INFO - 1));
}

function encode({ family, sockid }: ConnectionId, flags: number, extensions: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + REQUEST_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.byteLength, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, flags, true);
  view.setUint8(HEADER_BYTES, family);
  view.setUint8(HEADER_BYTES + 1, IPPROTO_TCP);
  view.setUint8(HEADER_BYTES + 2, extensions);
  view.setUint32(HEADER_BYTES + 4, CONNECTED_STATES, true);
  bytes.set(sockid, HEADER_BYTES + 8);
  return bytes;
}

/** Returns whether a datagram ends an answer: a dump has a last message of its own, any other answer is one message. */
export function endsAnswer(datagram: DataView): boolean {
  // All messages of a dump are marked, and only its last datagram has the end.
  if ((datagram.getUint16(6, true) & NLM_F_MULTI) === 0) return true;
  return messagesOf(datagram).some(({ type }) => type === NLMSG_DONE || type === NLMSG_ERROR);
}

/** Returns the connections in the answer to a dump, with the inode number of the socket of each. */
export function parseDump(datagrams: readonly DataView[]): Map<number, ConnectionId> {
  const found = new Map<number, ConnectionId>();
  for (const { type, body } of datagrams.flatMap(messagesOf)) {
    if (type !== SOCK_DIAG_BY_FAMILY || body.byteLength < MESSAGE_BYTES) continue;
    const inode = body.getUint32(MESSAGE_BYTES - 4, true);
    // A copy: the answer has room for hundreds of connections.
    const sockid = new Uint8Array(body.buffer, body.byteOffset + 4, SOCKID_BYTES).slice();
    if (inode !== 0) found.set(inode, { family: body.getUint8(0), sockid });
  }
  return found;
}

/** Returns the state of a connection; `undefined`: it does not exist any more. */
export function parseState(datagrams: readonly DataView[]): ConnectionState | undefined {
  const message = datagrams.flatMap(messagesOf).find(({ type }) => type === SOCK_DIAG_BY_FAMILY);
  if (message === undefined || message.body.byteLength < MESSAGE_BYTES) return undefined;
  const { body } = message;
  const info = attributeOf(body, INET_DIAG_INFO);
  const counter = (offset: number): number | null =>
    info === undefined || info.byteLength < offset + 8 ? null : Number(info.getBigUint64(offset, true));
  return {
    receiveQueueBytes: body.getUint32(MESSAGE_BYTES - 16, true),
    sendQueueBytes: body.getUint32(MESSAGE_BYTES - 12, true),
    ackedBytes: counter(TCP_INFO.bytesAcked),
    receivedBytes: counter(TCP_INFO.bytesReceived),
    windowLimitedUsec: counter(TCP_INFO.rwndLimited),
    retransmittedBytes: counter(TCP_INFO.bytesRetrans),
  };
}

/** Offsets of u64 fields in struct tcp_info, include/uapi/linux/tcp.h. It only ever grows. */
const TCP_INFO = { bytesAcked: 120, bytesReceived: 128, rwndLimited: 176, bytesRetrans: 208 } as const;

interface Message {
  type: number;
  body: DataView;
}

function messagesOf(datagram: DataView): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at + HEADER_BYTES <= datagram.byteLength; ) {
    const length = datagram.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > datagram.byteLength) break;
    messages.push({
      type: datagram.getUint16(at + 4, true),
      body: new DataView(datagram.buffer, datagram.byteOffset + at + HEADER_BYTES, length - HEADER_BYTES),
    });
    at += align(length);
  }
  return messages;
}

// struct nlattr { u16 len; u16 type; }
function attributeOf(body: DataView, wanted: number): DataView | undefined {
  for (let at = MESSAGE_BYTES; at + 4 <= body.byteLength; ) {
    const length = body.getUint16(at, true);
    if (length < 4 || at + length > body.byteLength) return undefined;
    if (body.getUint16(at + 2, true) === wanted)
      return new DataView(body.buffer, body.byteOffset + at + 4, length - 4);
    at += align(length);
  }
  return undefined;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
