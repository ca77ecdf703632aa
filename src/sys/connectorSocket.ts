import { closeFd } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { addressOf, syscall } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_CONNECTOR = 11;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const MEMINFO_WORDS = 9;
const MEMINFO_DROPS = 8;

const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

// struct sockaddr_nl { u16 family; u16 pad; u32 port; u32 groups; }
const ADDRESS_BYTES = 12;
const BPF_INSTRUCTION_BYTES = 8;

export type ConnectorSocket = { fd: number; receiveBufferBytes: number } | { reason: string };

/**
 * Opens a non-blocking socket of the kernel connector (netlink(7), Documentation/driver-api/connector.rst)
 * and joins one multicast group.
 *
 * The filter goes on before the group is joined, so that nothing which it would drop ever takes room in
 * the buffer. The buffer is raised beyond net.core.rmem_max where we may (CAP_NET_ADMIN), up to it
 * otherwise; the kernel doubles what it is given, for its own bookkeeping.
 */
export function openConnectorSocket(group: number, filter: Uint8Array, bufferBytes: number): ConnectorSocket {
  const fd = syscall("socket", AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  if (fd < 0) return { reason: `socket(AF_NETLINK, NETLINK_CONNECTOR): ${errnoName(fd)}` };
  const fail = (call: string, errno: number): ConnectorSocket => {
    closeFd(fd);
    return { reason: `${call}: ${errnoName(errno)}` };
  };

  const size = new Int32Array([bufferBytes]);
  if (setOption(fd, SO_RCVBUFFORCE, size) < 0) setOption(fd, SO_RCVBUF, size);

  // struct sock_fprog { u16 len; struct sock_filter *filter; }
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, filter.byteLength / BPF_INSTRUCTION_BYTES, true);
  program.setBigUint64(8, BigInt(addressOf(filter)), true);
  const attached = setOption(fd, SO_ATTACH_FILTER, program);
  if (attached < 0) return fail("setsockopt(SO_ATTACH_FILTER)", attached);

  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  address.setUint16(0, AF_NETLINK, true);
  address.setUint32(8, group, true);
  const bound = syscall("bind", fd, address, ADDRESS_BYTES);
  if (bound < 0) return fail(`bind to netlink connector group ${group}`, bound);

  return { fd, receiveBufferBytes: readReceiveBufferBytes(fd) };
}

/** Sends one message to the kernel. Returns its length or −errno. */
export function sendToKernel(fd: number, message: Uint8Array): number {
  const kernel = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  kernel.setUint16(0, AF_NETLINK, true);
  return syscall("sendto", fd, message, message.byteLength, 0, kernel, ADDRESS_BYTES);
}

/** Messages that did not fit this socket's buffer and are lost, since it was opened (SO_MEMINFO, Linux 4.12). `null` where that cannot be read. */
export function readDroppedMessages(fd: number): number | null {
  const words = new Uint32Array(MEMINFO_WORDS);
  const length = new Int32Array([words.byteLength]);
  const result = syscall("getsockopt", fd, SOL_SOCKET, SO_MEMINFO, words, length);
  return result < 0 ? null : (words[MEMINFO_DROPS] ?? null);
}

/** Receives netlink datagrams into one buffer that each call overwrites. */
export class NetlinkReceiver {
  readonly message: DataView;
  readonly #fd: number;
  readonly #sender = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  readonly #senderBytes = new Int32Array(1);

  constructor(fd: number, bufferBytes = 4096) {
    this.#fd = fd;
    this.message = new DataView(new ArrayBuffer(bufferBytes));
  }

  /** Returns the datagram's whole length, which passes that of `message` when it did not fit, or −errno; never waits. */
  receive(): number {
    this.#senderBytes[0] = ADDRESS_BYTES;
    const flags = MSG_DONTWAIT | MSG_TRUNC;
    const { message } = this;
    return syscall("recvfrom", this.#fd, message, message.byteLength, flags, this.#sender, this.#senderBytes);
  }

  /** Whether the last datagram came from the kernel: any local process may send to a netlink port, but not from port 0. */
  isFromKernel(): boolean {
    return this.#sender.getUint16(0, true) === AF_NETLINK && this.#sender.getUint32(4, true) === 0;
  }
}

function setOption(fd: number, option: number, value: DataView | Int32Array): number {
  return syscall("setsockopt", fd, SOL_SOCKET, option, value, value.byteLength);
}

function readReceiveBufferBytes(fd: number): number {
  const value = new Int32Array(1);
  const length = new Int32Array([4]);
  syscall("getsockopt", fd, SOL_SOCKET, SO_RCVBUF, value, length);
  return value[0] ?? 0;
}
