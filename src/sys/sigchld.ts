import { syscall } from "./libc.ts";

const SIGCHLD = 17;
const SIG_IGN = 1n;
/** Bytes of the kernel's sigset_t. */
const SIGNAL_SET_BYTES = 8;

/**
 * Has the kernel keep the ends of our children for us, where whoever started us ignores SIGCHLD: that lasts over
 * execve(2), and makes each child vanish together with its exit code (wait(2), "NOTES"). To be called before the first
 * child is started. Our children do not inherit it either way: the runtime starts them with every signal at its default.
 */
export function resetIgnoredSigchld(): void {
  // struct sigaction of the kernel: { handler; u64 flags; restorer; u64 mask; }, where a handler of 0 is SIG_DFL
  const current = new BigUint64Array(4);
  syscall("rt_sigaction", SIGCHLD, 0, current, SIGNAL_SET_BYTES);
  if (current[0] === SIG_IGN) syscall("rt_sigaction", SIGCHLD, new BigUint64Array(4), 0, SIGNAL_SET_BYTES);
}
