import { closeFd } from "./descriptor.ts";
import { RESERVED_DESCRIPTORS, readSoftFileLimit } from "./fileLimit.ts";
import { syscall } from "./libc.ts";

// struct pidfd_info, include/uapi/linux/pidfd.h; only the first published version is asked for, 64 bytes:
// u64 mask · u64 cgroupid · u32 pid, tgid, ppid · u32 × 8 ids · s32 exit_code
export const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_EXIT = 1n << 3n;
const INFO_BYTES = 64;
const EXIT_CODE_OFFSET = 60;

// struct pollfd { int fd; short events; short revents; }
const POLLIN = 1;
const POLLHUP = 16;

const EINTR = 4;
const EMFILE = 24;
const EINVAL = 22;
const ENOTTY = 25;

/**
 * Opens a descriptor that refers to this process even after its pid is reused (pidfd_open(2), Linux 5.3; no
 * rights needed; close-on-exec). Returns it or −errno: −ESRCH without a process, −EINVAL for a thread, −EMFILE
 * also when it would be one of the last RESERVED_DESCRIPTORS. A daemon keeps one for each job, and must still be
 * able to read and write files.
 */
export function openPidfd(pid: number): number {
  const pidfd = syscall("pidfd_open", pid, 0);
  if (pidfd < 0 || pidfd < readSoftFileLimit() - RESERVED_DESCRIPTORS) return pidfd;
  closeFd(pidfd);
  return -EMFILE;
}

/** Returns whether the whole process has ended: POLLIN, with POLLHUP once it is reaped (Linux 6.9). */
export function pidfdHasEnded(pidfd: number): boolean {
  const pollfd = new DataView(new ArrayBuffer(8));
  pollfd.setInt32(0, pidfd, true);
  pollfd.setInt16(4, POLLIN, true);
  const noWait = new BigInt64Array(2);
  let ready: number;
  do ready = syscall("ppoll", pollfd, 1, noWait, 0, 0);
  while (ready === -EINTR);
  return ready > 0 && (pollfd.getInt16(6, true) & (POLLIN | POLLHUP)) !== 0;
}

/** `status` is a wait status as in wait(2): see `decodeWaitStatus`. */
export type PidfdExit = { status: number } | "running" | "unsupported" | "unknown";

/**
 * Reads how the process ended (PIDFD_GET_INFO, Linux 6.15). Works without rights and for any process.
 *
 * - `"running"`: the kernel has no exit record yet. The process still runs, or has ended and its parent has
 *   not reaped it (`pidfdHasEnded` distinguishes the two).
 * - `"unsupported"`: this kernel has no such call.
 * - `"unknown"`: the process is gone and the kernel kept no exit record (Linux 6.13 and 6.14 have the call
 *   without the record), or it belongs to a pid namespace that is not visible from ours.
 */
export function readPidfdExit(pidfd: number): PidfdExit {
  const info = new DataView(new ArrayBuffer(INFO_BYTES));
  info.setBigUint64(0, PIDFD_INFO_EXIT, true);
  const result = syscall("ioctl", pidfd, PIDFD_GET_INFO, info);
  if (result === -ENOTTY || result === -EINVAL) return "unsupported";
  if (result < 0) return "unknown";
  const hasExit = (info.getBigUint64(0, true) & PIDFD_INFO_EXIT) !== 0n;
  return hasExit ? { status: info.getInt32(EXIT_CODE_OFFSET, true) } : "running";
}
