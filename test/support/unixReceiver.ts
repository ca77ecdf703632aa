import { addressOf, syscall } from "../../src/sys/libc.ts";
import { encodeUnixAddress, openUnixDatagram } from "../../src/sys/unixSocket.ts";

const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MESSAGE_BYTES = 4096;
const CONTROL_BYTES = 64;

export interface Received {
  text: string;
  /** The received descriptors, which the caller has to close. */
  descriptors: number[];
}

/** Binds a datagram socket, as a service manager does. Returns its descriptor. */
export function bindUnixDatagram(name: string): number {
  const socket = openUnixDatagram();
  const address = encodeUnixAddress(name);
  if (address === undefined) throw new Error(`no address: ${name}`);
  const bound = syscall("bind", socket, address, address.byteLength);
  if (bound < 0) throw new Error(`bind to ${name}: ${bound}`);
  return socket;
}

/** Returns the next datagram, or `undefined` when there is none. */
export function receiveUnixDatagram(socket: number): Received | undefined {
  const message = new Uint8Array(MESSAGE_BYTES);
  const vector = new BigUint64Array([BigInt(addressOf(message)), BigInt(MESSAGE_BYTES)]);
  const control = new DataView(new ArrayBuffer(CONTROL_BYTES));
  const header = new DataView(new ArrayBuffer(56));
  header.setBigUint64(16, BigInt(addressOf(vector)), true);
  header.setBigUint64(24, 1n, true);
  header.setBigUint64(32, BigInt(addressOf(control)), true);
  header.setBigUint64(40, BigInt(CONTROL_BYTES), true);
  const length = syscall("recvmsg", socket, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return undefined;
  const controlBytes = Number(header.getBigUint64(40, true));
  const carries = controlBytes >= 20 && control.getInt32(8, true) === 1 && control.getInt32(12, true) === 1;
  const count = carries ? (Number(control.getBigUint64(0, true)) - 16) / 4 : 0;
  const descriptors = Array.from({ length: count }, (_, index) => control.getInt32(16 + index * 4, true));
  return { text: new TextDecoder().decode(message.subarray(0, length)), descriptors };
}
