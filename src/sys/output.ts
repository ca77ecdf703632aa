import { syscall } from "./libc.ts";
import { timespec, writeU32 } from "./words.ts";

const POLLOUT = 0x4;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const ENOTSOCK = 88;

/** poll(2) promises room for this many bytes in a pipe (PIPE_BUF). */
const MAX_BYTES_PER_WRITE = 4096;

/**
 * Writes the start of `bytes` and returns how many were written, or −errno; −EAGAIN when the file has no room for
 * `waitMs`. O_NONBLOCK is not set: it belongs to the open file, which the workload of `run` shares. For the same
 * reason a write to a pipe can still wait, when another writer fills the pipe between poll(2) and write(2).
 */
export function writeIfRoom(fd: number, bytes: Uint8Array, waitMs: number): number {
  const length = Math.min(bytes.byteLength, MAX_BYTES_PER_WRITE);
  const sent = syscall("sendto", fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
  const isSocket = sent !== -ENOTSOCK;
  if (isSocket && sent !== -EAGAIN) return sent;
  if (!hasRoom(fd, waitMs)) return -EAGAIN;
  return isSocket
    ? syscall("sendto", fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0)
    : syscall("write", fd, bytes, length);
}

/** Returns whether a write does not wait. True also for a file that fails: the write returns its errno. */
function hasRoom(fd: number, waitMs: number): boolean {
  // struct pollfd { s32 fd; s16 events; s16 revents; }
  const file = new Uint8Array(8);
  writeU32(file, 0, fd);
  file[4] = POLLOUT;
  const ready = syscall("ppoll", file, 1, timespec(waitMs), 0, 0);
  return ready !== 0 && ready !== -EINTR;
}
