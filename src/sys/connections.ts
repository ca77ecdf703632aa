import { readSoftFileLimit } from "./fileLimit.ts";
import { listDirectory, statusOf } from "./files.ts";
import { syscall } from "./libc.ts";

const OWN_DESCRIPTORS = "/proc/self/fd";
const AF_INET = 2;
const AF_INET6 = 10;
const SHUT_RDWR = 2;
const EBADF = 9;
/** sizeof(struct sockaddr_in6), the larger one. */
const ADDRESS_BYTES = 28;

/**
 * Returns how many descriptors of this process are open. Since Linux 6.2 that is the size of their directory; before, they are
 * listed, which needs a free one: without it, all that the limit allows are open.
 */
export function countOpenDescriptors(): number {
  const size = statusOf(OWN_DESCRIPTORS)?.size ?? 0;
  if (size > 0) return size;
  try {
    return listDirectory(OWN_DESCRIPTORS).length;
  } catch {
    return readSoftFileLimit();
  }
}

/**
 * Lists the descriptors of TCP connections whose port at this end is `port`, without the socket that listens there. Opens
 * nothing, so that it works without a free descriptor.
 */
export function listConnections(port: number): number[] {
  const connections: number[] = [];
  const limit = readSoftFileLimit();
  let left = countOpenDescriptors();
  for (let fd = 0; left > 0 && fd < limit; fd++) {
    const own = addressFrom("getsockname", fd);
    if (own !== -EBADF) left--;
    if (
      typeof own === "object" &&
      tcpPortOf(own) === port &&
      typeof addressFrom("getpeername", fd) === "object"
    )
      connections.push(fd);
  }
  return connections;
}

/** Ends a connection, for both sides: shutdown(2). Its owner in this process then closes it. Returns 0 or −errno. */
export function endConnection(fd: number): number {
  return syscall("shutdown", fd, SHUT_RDWR);
}

/** Returns `undefined` for the address of another kind of socket. */
// struct sockaddr_in, sockaddr_in6: { u16 family; be16 port; … }
function tcpPortOf(address: DataView): number | undefined {
  const isInternet = [AF_INET, AF_INET6].includes(address.getUint16(0, true));
  return isInternet ? address.getUint16(2, false) : undefined;
}

/** Returns −errno for a descriptor that is not open or not of a socket, and for the peer of a socket without one. */
function addressFrom(call: "getsockname" | "getpeername", fd: number): DataView | number {
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES));
  const returned = syscall(call, fd, address, new Uint32Array([ADDRESS_BYTES]));
  return returned < 0 ? returned : address;
}
