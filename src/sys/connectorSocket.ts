import { encodeFprog } from "./classicBpf.ts";
import { closeFd } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { addressOf, syscall, systemCall } from "./libc.ts";

const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_CONNECTOR = 11;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_BPF = 50;
const SO_MEMINFO = 55;
const MEMINFO_WORDS = 9;
const MEMINFO_DROPS = 8;

const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

const ADDRESS_BYTES = 12;
/** Longer than every message of the process connector. */
const MESSAGE_BYTES = 4096;

/**
 * Opens a non-blocking socket of the kernel connector (netlink(7), Documentation/driver-api/connector.rst)
 * and joins one multicast group. Returns its descriptor, or why it could not be opened.
 *
 * The filter is attached before the socket joins the group, so that unwanted messages never fill the buffer.
 * With CAP_NET_ADMIN the buffer may exceed net.core.rmem_max; otherwise that is its limit. The kernel doubles
 * the given size for its own bookkeeping.
 */
export function openConnectorSocket(
  group: number,
  filter: Uint8Array,
  bufferBytes: number,
): number | { reason: string } {
  const fd = syscall("socket", AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR);
  if (fd < 0) return { reason: `socket(AF_NETLINK, NETLINK_CONNECTOR): ${errnoName(fd)}` };
  const fail = (call: string, errno: number) => {
    closeFd(fd);
    return { reason: `${call}: ${errnoName(errno)}` };
  };

  const size = new Int32Array([bufferBytes]);
  if (setOption(fd, SO_RCVBUFFORCE, size) < 0) setOption(fd, SO_RCVBUF, size);

  const attached = attachFilter(fd, filter);
  if (attached < 0) return fail("setsockopt(SO_ATTACH_FILTER)", attached);

  const bound = syscall("bind", fd, encodeAddress(group), ADDRESS_BYTES);
  return bound < 0 ? fail(`bind to netlink connector group ${group}`, bound) : fd;
}

/** Attaches a filter in place of an earlier one, between two messages: none is lost. Returns 0 or −errno. */
export function attachFilter(fd: number, filter: Uint8Array): number {
  return setOption(fd, SO_ATTACH_FILTER, encodeFprog(filter));
}

/** Attaches a loaded eBPF filter in the same way; it needs no right. Returns 0 or −errno. */
export function attachLoadedFilter(fd: number, programFd: number): number {
  return setOption(fd, SO_ATTACH_BPF, Int32Array.of(programFd));
}

/** Sends one message to the kernel, whose port is 0. Returns its length or −errno. */
export function sendToKernel(fd: number, message: Uint8Array): number {
  return syscall("sendto", fd, message, message.byteLength, 0, encodeAddress(0), ADDRESS_BYTES);
}

// struct sockaddr_nl { u16 family; u16 pad; u32 port; u32 groups; }
function encodeAddress(groups: number): DataView {
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  address.setUint16(0, AF_NETLINK, true);
  address.setUint32(8, groups, true);
  return address;
}

function setOption(fd: number, option: number, value: DataView | Int32Array): number {
  return syscall("setsockopt", fd, SOL_SOCKET, option, value, value.byteLength);
}

/** Returns how many messages a full buffer has lost so far; `null` without SO_MEMINFO (Linux 4.12). */
export function readDroppedMessages(fd: number): number | null {
  const words = new Uint32Array(MEMINFO_WORDS);
  const length = new Int32Array([words.byteLength]);
  const result = syscall("getsockopt", fd, SOL_SOCKET, SO_MEMINFO, words, length);
  return result < 0 ? null : (words[MEMINFO_DROPS] ?? null);
}

/** Receives netlink datagrams into one buffer that each call overwrites. */
export function netlinkReceiver(fd: number) {
  const message = new DataView(new ArrayBuffer(MESSAGE_BYTES));
  const sender = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  const senderBytes = new Int32Array(1);
  const flags = MSG_DONTWAIT | MSG_TRUNC;
  const recvfrom = systemCall("recvfrom");
  const [messageAddress, senderAddress, lengthAddress] = [message, sender, senderBytes].map(addressOf);
  return {
    message,
    /** Receives one datagram without waiting. Returns its whole length, even if it did not fit, or −errno. */
    receive(): number {
      senderBytes[0] = ADDRESS_BYTES;
      return recvfrom(fd, messageAddress, MESSAGE_BYTES, flags, senderAddress, lengthAddress);
    },
    /** Returns whether the kernel has sent the last datagram: any process may send, but not from port 0. */
    isFromKernel: () => sender.getUint16(0, true) === AF_NETLINK && sender.getUint32(4, true) === 0,
  };
}
