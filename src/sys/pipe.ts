import { closeFd } from "./descriptor.ts";
import { syscall } from "./libc.ts";

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const F_SETFL = 4;

/** The descriptors of a pipe, pipe(7). */
export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Creates a pipe whose ends are close-on-exec. Returns −errno where that fails. */
export function createPipe(): Pipe | number {
  // int pipefd[2]: the end to read from first
  const fds = new Int32Array(2);
  const result = syscall("pipe2", fds, O_CLOEXEC);
  return result < 0 ? result : { readFd: fds[0] as number, writeFd: fds[1] as number };
}

/** Makes reading and writing at this end of a pipe return −EAGAIN where they would wait. The other end stays as it is. */
export function neverWait(fd: number): number {
  return syscall("fcntl", fd, F_SETFL, O_NONBLOCK);
}

/** Writes as many bytes as there is room for. Returns their number, or −errno: −EAGAIN without any room. */
export function writeSome(fd: number, bytes: Uint8Array): number {
  return syscall("write", fd, bytes, bytes.length);
}

export function closePipe({ readFd, writeFd }: Pipe): void {
  closeFd(readFd);
  closeFd(writeFd);
}
