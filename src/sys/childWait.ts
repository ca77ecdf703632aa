import { closeFd } from "./descriptor.ts";
import { syscall } from "./libc.ts";
import { openPidfd } from "./pidfd.ts";
import { signalName } from "./waitStatus.ts";
import { readU32, readU64, timespec, writeU32 } from "./words.ts";

const SIGHUP = 1;
const SIGINT = 2;
const SIGTERM = 15;
const SIGCONT = 18;
const [SIG_BLOCK, SIG_UNBLOCK] = [0, 1];
/** Size of sigset_t in the kernel. */
const SIGNAL_SET_BYTES = 8;
const SFD_CLOEXEC = 0o2000000;
const SFD_NONBLOCK = 0o4000;
const SIGNAL_INFO_BYTES = 128;
const RUSAGE_BYTES = 144;
const POLLIN = 1;
const EINTR = 4;
const [WNOHANG, WEXITED, WNOWAIT] = [1, 4, 0x1000000];
const P_PID = 1;

/** The end of a child, as wait4(2) reports it. Times are in µs. */
export interface ChildEnd {
  readonly status: number;
  readonly cpuUserUsec: number;
  readonly cpuSystemUsec: number;
  readonly memoryPeakBytes: number;
}

/**
 * Blocks the signals that `waitForChild` receives: in this thread, in threads that it starts later, and in a program that this
 * process executes. A blocked signal waits until it is read.
 */
export function blockStopSignals(): void {
  syscall("rt_sigprocmask", SIG_BLOCK, stopSignals(), 0, SIGNAL_SET_BYTES);
}

/** Ends that for this thread. A signal that came meanwhile is received now. */
export function unblockStopSignals(): void {
  syscall("rt_sigprocmask", SIG_UNBLOCK, stopSignals(), 0, SIGNAL_SET_BYTES);
}

/** Returns true for a child that has ended, whether it was collected or not. It stays as it is; waitid(2). */
export function hasEnded(pid: number): boolean {
  const info = new Uint8Array(SIGNAL_INFO_BYTES);
  const result = syscall("waitid", P_PID, pid, info, WEXITED | WNOHANG | WNOWAIT, 0);
  // si_signo, which stays 0 while the child runs.
  return result < 0 || readU32(info, 0) !== 0;
}

/**
 * Waits for the end of a child or for one of the signals that stop an observer, without the runtime: the whole thread waits.
 * Call `blockStopSignals` before. Returns the name of a signal, or −errno where this kernel has no pidfds. `onContinue` is
 * called when this process was stopped and continued.
 */
export function waitForChild(pid: number, onContinue: () => void): ChildEnd | string | number {
  const pidfd = openPidfd(pid);
  if (pidfd < 0) return pidfd;
  const signals = syscall("signalfd4", -1, stopSignals(), SIGNAL_SET_BYTES, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return signals;
  try {
    for (;;) {
      const [, ended = 0] = poll([signals, pidfd]);
      // Before the end: a stop of this process, during which the child ended, is reported together with it.
      let stop: number | undefined;
      for (let signal = readSignal(signals); signal !== undefined; signal = readSignal(signals)) {
        if (signal === SIGCONT) onContinue();
        else stop ??= signal;
      }
      if (ended !== 0) return reap(pid);
      if (stop !== undefined) return signalName(stop);
    }
  } finally {
    closeFd(pidfd);
    closeFd(signals);
  }
}

/**
 * Waits at most `timeoutMs` for the end of a child, without the runtime: its timers, promises and signal handlers wait too.
 * `wakeups`: the descriptors by which the runtime wakes its event loop. Its handler of a signal writes to one, whichever thread
 * gets the signal, and also if that was before this wait.
 * Returns `undefined` where the child still runs, a signal came, which is handled as soon as the caller returns to the runtime,
 * or the runtime has to wait instead: this kernel has no pidfds, or the runtime has collected the child.
 */
export function waitBriefly(
  pid: number,
  timeoutMs: number,
  wakeups: readonly number[],
): ChildEnd | undefined {
  const pidfd = syscall("pidfd_open", pid, 0);
  if (pidfd < 0) return undefined;
  const files = pollfds([pidfd, ...wakeups]);
  const ready = syscall("ppoll", files, 1 + wakeups.length, timespec(timeoutMs), 0, 0);
  closeFd(pidfd);
  // The revents of the first file.
  if (ready <= 0 || files[6] === 0) return undefined;
  const end = reap(pid);
  return typeof end === "number" ? undefined : end;
}

function stopSignals(): Uint8Array {
  const set = new Uint8Array(SIGNAL_SET_BYTES);
  writeU32(
    set,
    0,
    [SIGHUP, SIGINT, SIGTERM, SIGCONT].reduce((bits, signal) => bits | (1 << (signal - 1)), 0),
  );
  return set;
}

/** Waits until a file can be read. The whole thread waits. Returns false at the end of a pipe. */
export function waitForInput(fd: number): boolean {
  return ((poll([fd])[0] ?? 0) & POLLIN) !== 0;
}

/** Collects a child that has ended, and does not wait for one that runs. */
export function reapChild(pid: number): void {
  syscall("wait4", pid, 0, WNOHANG, 0);
}

/** Waits until one of the files can be read. Returns the events of each, poll(2). */
function poll(fds: readonly number[]): number[] {
  const files = pollfds(fds);
  while (syscall("ppoll", files, fds.length, 0, 0, 0) === -EINTR);
  return fds.map((_, index) => files[8 * index + 6] ?? 0);
}

/** Returns an array of struct pollfd { s32 fd; s16 events; s16 revents; } that waits for input. */
function pollfds(fds: readonly number[]): Uint8Array {
  const files = new Uint8Array(8 * fds.length);
  let offset = 0;
  for (const fd of fds) {
    writeU32(files, offset, fd);
    files[offset + 4] = POLLIN;
    offset += 8;
  }
  return files;
}

function readSignal(fd: number): number | undefined {
  // struct signalfd_siginfo { u32 ssi_signo; … }, 128 bytes
  const info = new Uint8Array(SIGNAL_INFO_BYTES);
  return syscall("read", fd, info, info.length) === info.length ? readU32(info, 0) : undefined;
}

/** Returns −errno where another call has waited for the child. */
function reap(pid: number): ChildEnd | number {
  const status = new Uint8Array(4);
  // struct rusage { struct timeval { i64 s; i64 µs; } ru_utime, ru_stime; i64 ru_maxrss, in KiB; … }
  const usage = new Uint8Array(RUSAGE_BYTES);
  const reaped = syscall("wait4", pid, status, 0, usage);
  if (reaped < 0) return reaped;
  const timeUsec = (offset: number): number => readU64(usage, offset) * 1e6 + readU64(usage, offset + 8);
  return {
    status: readU32(status, 0),
    cpuUserUsec: timeUsec(0),
    cpuSystemUsec: timeUsec(16),
    memoryPeakBytes: readU64(usage, 32) * 1024,
  };
}
