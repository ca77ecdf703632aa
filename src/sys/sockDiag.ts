import { closeFd } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_SOCK_DIAG = 4;
const CLONE_NEWNET = 0x4000_0000;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const ADDRESS_BYTES = 12;
/** The kernel fills at most 32 KiB in one message of a dump: NLMSG_GOODSIZE, netlink_dump() in net/netlink/af_netlink.c. */
const BUFFER_BYTES = 64 * 1024;

/**
 * Opens a socket that answers questions about the sockets of the network namespace that the calling thread is in:
 * sock_diag(7). Needs no privilege. Returns its descriptor or −errno.
 */
export function openSockDiag(): number {
  return syscall("socket", AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

/**
 * Moves the calling thread, and no other one, into the network namespace of an open /proc/PID/ns/net: setns(2). Needs
 * CAP_SYS_ADMIN there and here. Returns 0 or −errno.
 */
export function enterNetworkNamespace(fd: number): number {
  return syscall("setns", fd, CLONE_NEWNET);
}

/**
 * Sends one request to the kernel and returns the datagrams of its answer. The kernel answers within the call, so nothing
 * waits. `isLast` says for each datagram if it ends the answer. Throws where the kernel refuses the exchange itself.
 */
export function askSockDiag(
  fd: number,
  request: Uint8Array,
  isLast: (datagram: DataView) => boolean,
): DataView[] {
  const sent = syscall("sendto", fd, request, request.byteLength, MSG_DONTWAIT, toKernel, ADDRESS_BYTES);
  if (sent < 0) throw new Error(`cannot ask the kernel about sockets: sendto: ${errnoName(sent)}`);
  const datagrams: DataView[] = [];
  for (;;) {
    const length = syscall("recvfrom", fd, buffer, BUFFER_BYTES, MSG_DONTWAIT | MSG_TRUNC, 0, 0);
    if (length < 0) throw new Error(`cannot ask the kernel about sockets: recvfrom: ${errnoName(length)}`);
    const datagram = new DataView(buffer.slice(0, Math.min(length, BUFFER_BYTES)).buffer);
    datagrams.push(datagram);
    if (isLast(datagram)) return datagrams;
  }
}

export function closeSockDiag(fd: number): void {
  closeFd(fd);
}

const buffer = new Uint8Array(BUFFER_BYTES);

// struct sockaddr_nl { u16 family; u16 pad; u32 port; u32 groups; }; port 0 is the kernel
const toKernel = new DataView(new ArrayBuffer(ADDRESS_BYTES));
toKernel.setUint16(0, AF_NETLINK, true);
