/** How a process ended: with an exit code (0 to 255) or by a signal. */
export type ProcessEnd = { code: number; signal: null } | { code: null; signal: number };

/**
 * Decodes a wait status as in wait(2), the process connector, PIDFD_GET_INFO and field 52 of /proc/PID/stat:
 * the signal is in the low 7 bits, 0x80 marks a core dump, and the next byte is the exit code.
 */
export function decodeWaitStatus(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal };
}

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * The names of the signals from 1 on, which are the same on all supported architectures: signal(7). Loading node:os for
 * them takes 0.5 ms.
 */
// biome-ignore format: ten a line
const NAMES = [
  "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
  "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
  "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
  "SIGSYS",
];

/** Second names, which are understood but not printed. */
const ALIASES: Readonly<Record<string, number>> = { SIGIOT: 6, SIGPOLL: 29, SIGUNUSED: 31 };

/** Returns "SIGSEGV" for 11, "SIGRTMIN+1" for 35 (like kill -l), and "signal 99" for an invalid number. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return name;
  if (signal < SIGRTMIN || signal > SIGRTMAX) return `signal ${signal}`;
  return signal === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - SIGRTMIN}`;
}

/** Returns 11 for "SIGSEGV"; `undefined` for an unknown name. */
export function signalNumber(name: string): number | undefined {
  const realtime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  if (realtime === null) {
    const index = NAMES.indexOf(name);
    return index >= 0 ? index + 1 : ALIASES[name];
  }
  const signal = SIGRTMIN + Number(realtime[1] ?? 0);
  return signal <= SIGRTMAX ? signal : undefined;
}
