import { constants, openSync } from "node:fs";
import { join } from "node:path";
import { closeFd } from "./descriptor.ts";
import { addressOf, syscall } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SO_PEERCRED = 17;

// struct sockaddr_un { u16 family; char path[108]; }
const FAMILY_BYTES = 2;
const PATH_BYTES = 108;
// struct msghdr { ptr name; u32 namelen; ptr iov; u64 iovlen; ptr control; u64 controllen; u32 flags; }
const MSGHDR_BYTES = 56;
// struct cmsghdr { u64 len; s32 level; s32 type; }, then the descriptors, padded to 8
const CMSGHDR_BYTES = 16;
const DESCRIPTOR_BYTES = 4;

/** Opens a datagram socket of AF_UNIX (unix(7)), close-on-exec. Returns the descriptor or −errno. */
export function openUnixDatagram(): number {
  return syscall("socket", AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/**
 * Returns the `sockaddr_un` of a path, or of an abstract name with a leading `@`. `undefined` for any other
 * name and for one of more than 108 bytes.
 */
export function encodeUnixAddress(name: string): Uint8Array | undefined {
  if (!/^[/@]./s.test(name)) return undefined;
  // A path ends with a NUL byte. An abstract name starts with one and ends with the length of the address.
  const path = new TextEncoder().encode(name.startsWith("@") ? `\0${name.slice(1)}` : `${name}\0`);
  if (path.length > PATH_BYTES) return undefined;
  const address = new Uint8Array(FAMILY_BYTES + path.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, FAMILY_BYTES);
  return address;
}

/**
 * Sends one datagram without waiting, with a copy of `descriptor` if given (SCM_RIGHTS). Returns the number
 * of bytes or −errno: −EAGAIN while the queue of the receiver is full.
 */
export function sendUnixDatagram(
  socket: number,
  address: Uint8Array,
  message: Uint8Array,
  descriptor?: number,
): number {
  // struct iovec { ptr base; u64 len; }
  const vector = new BigUint64Array([BigInt(addressOf(message)), BigInt(message.byteLength)]);
  const control = descriptor === undefined ? undefined : encodeRights(descriptor);
  const header = new DataView(new ArrayBuffer(MSGHDR_BYTES));
  header.setBigUint64(0, BigInt(addressOf(address)), true);
  header.setUint32(8, address.byteLength, true);
  header.setBigUint64(16, BigInt(addressOf(vector)), true);
  header.setBigUint64(24, 1n, true);
  if (control !== undefined) {
    header.setBigUint64(32, BigInt(addressOf(control)), true);
    header.setBigUint64(40, BigInt(control.byteLength), true);
  }
  return syscall("sendmsg", socket, header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

function encodeRights(descriptor: number): DataView {
  const control = new DataView(new ArrayBuffer(CMSGHDR_BYTES + 2 * DESCRIPTOR_BYTES));
  control.setBigUint64(0, BigInt(CMSGHDR_BYTES + DESCRIPTOR_BYTES), true);
  control.setInt32(8, SOL_SOCKET, true);
  control.setInt32(12, SCM_RIGHTS, true);
  control.setInt32(CMSGHDR_BYTES, descriptor, true);
  return control;
}

/** The process at the other end of a connection, as it was when it connected. */
export interface Peer {
  pid: number;
  uid: number;
}

/** Returns the peer of a connected stream socket (SO_PEERCRED, unix(7)), or `undefined` where it cannot be read. */
export function readPeer(socket: number): Peer | undefined {
  // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
  const credentials = new Int32Array(3);
  const length = Uint32Array.of(credentials.byteLength);
  if (syscall("getsockopt", socket, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0) return undefined;
  const [pid = 0, uid = 0] = credentials;
  return { pid, uid: uid >>> 0 };
}

/**
 * Returns a path to a name in a directory that fits into an address: through a descriptor of the directory where its
 * own path is too long. Call `close` after the last use of the path. Throws errors of the file system.
 */
export function openSocketPath(directory: string, name: string): { path: string; close(): void } {
  const path = join(directory, name);
  if (encodeUnixAddress(path) !== undefined) return { path, close() {} };
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: `/proc/self/fd/${fd}/${name}`, close: () => closeFd(fd) };
}
