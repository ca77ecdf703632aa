import { OFFSET, PROC_EVENT_COMM, PROC_EVENT_EXIT } from "../../src/linux/events/cnProc.ts";

/** The fields of a process event. A field that is left out gets the value that the kernel gives it. */
export interface MessageParts {
  what: number;
  pid: number;
  tgid: number;
  exitCode?: number;
  atNsec?: bigint;
  type?: number;
  idx?: number;
  val?: number;
  seq?: number;
  netlinkSeq?: number;
  ack?: number;
  dataBytes?: number;
  messageBytes?: number;
}

/** Builds a datagram as the kernel sends it, or a malformed one. */
export function procMessage(parts: MessageParts): DataView {
  const { what, pid, tgid, exitCode = 0, atNsec = 0n, type = 3, idx = 1, val = 1, seq = 1, ack = 0 } = parts;
  const bodyBytes = what === PROC_EVENT_EXIT ? 24 : what === PROC_EVENT_COMM ? 24 : 8;
  const dataBytes = 16 + bodyBytes;
  const message = new DataView(new ArrayBuffer(OFFSET.what + dataBytes));
  message.setUint32(0, parts.messageBytes ?? message.byteLength, true);
  message.setUint16(4, type, true);
  message.setUint32(8, parts.netlinkSeq ?? seq, true);
  message.setUint32(OFFSET.cnIdx, idx, true);
  message.setUint32(OFFSET.cnVal, val, true);
  message.setUint32(OFFSET.cnIdx + 8, seq, true);
  message.setUint32(OFFSET.cnIdx + 12, ack, true);
  message.setUint16(OFFSET.cnIdx + 16, parts.dataBytes ?? dataBytes, true);
  message.setUint32(OFFSET.what, what, true);
  message.setBigUint64(OFFSET.what + 8, atNsec, true);
  message.setInt32(OFFSET.pid, pid, true);
  message.setInt32(OFFSET.tgid, tgid, true);
  if (bodyBytes > 8) message.setUint32(OFFSET.exitCode, exitCode, true);
  return message;
}
