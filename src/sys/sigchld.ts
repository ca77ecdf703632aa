import { syscall } from "./libc.ts";

const SIGCHLD = 17;
const SIG_IGN = 1n;
/** Size of sigset_t in the kernel. */
const SIGNAL_SET_BYTES = 8;

/**
 * Resets SIGCHLD to its default when the process that started us ignored it. An ignored SIGCHLD survives
 * execve(2) and makes the kernel discard the exit codes of our children (wait(2), "NOTES"). Call this before
 * starting the first child. Children are not affected: the runtime starts them with every signal at its
 * default.
 */
export function resetIgnoredSigchld(): void {
  // struct sigaction of the kernel: { handler; u64 flags; restorer; u64 mask; }; handler 0 is SIG_DFL
  const current = new BigUint64Array(4);
  syscall("rt_sigaction", SIGCHLD, 0, current, SIGNAL_SET_BYTES);
  if (current[0] === SIG_IGN) syscall("rt_sigaction", SIGCHLD, new BigUint64Array(4), 0, SIGNAL_SET_BYTES);
}
