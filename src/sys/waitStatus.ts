/** How a process ended: by its own code (0 to 255), or by a signal's number. */
export type ProcessEnd = { code: number; signal: null } | { code: null; signal: number };

/**
 * Decodes a wait status as wait(2), the proc connector, PIDFD_GET_INFO and field 52 of /proc/PID/stat
 * give it: the signal in the low 7 bits, 0x80 for a core dump, the code in the byte above.
 */
export function decodeWaitStatus(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff, signal: null } : { code: null, signal };
}

// include/uapi/asm-generic/signal.h, the same on x86_64 and aarch64; the index + 1 is the number
const NAMES: readonly string[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** "SIGSEGV" for 11, "SIGRTMIN+1" for 35 (as bash and kill -l name it), "signal 99" for a number that is none. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return name;
  if (signal < SIGRTMIN || signal > SIGRTMAX) return `signal ${signal}`;
  return signal === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - SIGRTMIN}`;
}

/** 11 for "SIGSEGV"; `undefined` for a name that is none. */
export function signalNumber(name: string): number | undefined {
  const index = NAMES.indexOf(name);
  if (index >= 0) return index + 1;
  const realtime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(name);
  if (realtime === null) return undefined;
  const signal = SIGRTMIN + Number(realtime[1] ?? 0);
  return signal <= SIGRTMAX ? signal : undefined;
}
