import { closeFd } from "./descriptor.ts";
import { syscall } from "./libc.ts";
import { encodeUnixAddress } from "./unixSocket.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
const POLLOUT = 4;
const EINTR = 4;
const EAGAIN = 11;
const ETIMEDOUT = 110;
const ENAMETOOLONG = 36;

/**
 * A connected stream socket of AF_UNIX (unix(7)), used synchronously. No call waits longer than until `deadline`; then it
 * returns −ETIMEDOUT.
 */
export class UnixStream {
  readonly #fd: number;
  /** In ms of `performance.now()`. */
  deadline: number;

  private constructor(fd: number, deadline: number) {
    this.#fd = fd;
    this.deadline = deadline;
  }

  /** Returns −errno where there is no listener, or its queue of connections is full. */
  static connect(path: string, deadline: number): UnixStream | number {
    const address = encodeUnixAddress(path);
    if (address === undefined) return -ENAMETOOLONG;
    const fd = syscall("socket", AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fd;
    const result = syscall("connect", fd, address, address.byteLength);
    if (result === 0) return new UnixStream(fd, deadline);
    closeFd(fd);
    return result;
  }

  /** Sends all bytes. Returns 0 or −errno. */
  write(bytes: Uint8Array): number {
    for (let sent = 0; sent < bytes.length; ) {
      const rest = bytes.subarray(sent);
      const result = syscall("sendto", this.#fd, rest, rest.length, MSG_NOSIGNAL, 0, 0);
      if (result >= 0) sent += result;
      else if (result === -EAGAIN) {
        const waited = this.#wait(POLLOUT);
        if (waited < 0) return waited;
      } else if (result !== -EINTR) return result;
    }
    return 0;
  }

  /** Receives at least one byte. Returns how many; 0 at the end of the stream; −errno. */
  read(buffer: Uint8Array): number {
    for (;;) {
      const result = syscall("recvfrom", this.#fd, buffer, buffer.length, 0, 0, 0);
      if (result >= 0 || (result !== -EAGAIN && result !== -EINTR)) return result;
      const waited = this.#wait(POLLIN);
      if (waited < 0) return waited;
    }
  }

  close(): void {
    closeFd(this.#fd);
  }

  #wait(events: number): number {
    const leftMs = Math.max(0, this.deadline - performance.now());
    // struct pollfd { s32 fd; s16 events; s16 revents; }; struct timespec { s64 seconds; s64 nanoseconds; }
    const poll = new DataView(new ArrayBuffer(8));
    poll.setInt32(0, this.#fd, true);
    poll.setInt16(4, events, true);
    const timeout = new BigInt64Array([
      BigInt(Math.floor(leftMs / 1000)),
      BigInt(Math.floor((leftMs % 1000) * 1e6)),
    ]);
    const ready = syscall("ppoll", poll, 1, timeout, 0, 0);
    if (ready === 0) return -ETIMEDOUT;
    return ready === -EINTR ? 0 : ready;
  }
}
