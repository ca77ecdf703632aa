import { addressOf, syscall } from "./libc.ts";
import { readU64 } from "./words.ts";

const ECANCELED = 125;

const SIGPIPE = 13;
const SIGCHLD = 17;
const SIGXFSZ = 25;
const SIG_IGN = 1;
/** Size of sigset_t in the kernel. */
const SIGNAL_SET_BYTES = 8;

const SIGKILL = 9;
const PR_SET_PDEATHSIG = 1;
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;

/**
 * Ends this process at once with an exit code (_exit(2)). The teardown of the runtime is skipped: it costs
 * milliseconds and would checkpoint the ledger with two disk syncs. Write all output before the call.
 */
export function exitNow(code: number): never {
  try {
    syscall("exit_group", code & 0xff);
  } catch {
    // Without the C library there are no system calls, and the error about that needs its exit code.
  }
  process.exit(code);
}

/**
 * Resets SIGCHLD to its default when the process that started us ignored it. An ignored SIGCHLD survives
 * execve(2) and makes the kernel discard the exit codes of our children (wait(2), "NOTES"). Call this before
 * starting the first child: the runtime starts children with every signal at its default.
 */
export function resetIgnoredSigchld(): void {
  // struct sigaction of the kernel: { handler; u64 flags; restorer; u64 mask; }; handler 0 is SIG_DFL
  const current = new Uint8Array(32);
  syscall("rt_sigaction", SIGCHLD, 0, current, SIGNAL_SET_BYTES);
  if (readU64(current, 0) === SIG_IGN)
    syscall("rt_sigaction", SIGCHLD, new Uint8Array(32), 0, SIGNAL_SET_BYTES);
}

/**
 * Makes the kernel end this process (SIGKILL) when the thread that started it ends, also if this process is stopped then:
 * prctl(2), PR_SET_PDEATHSIG. Returns 0 or −errno.
 */
export function endWithParent(): number {
  return syscall("prctl", PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

/**
 * Resets the signals that the runtime ignores for itself: a program that is executed inherits that, and would continue after
 * the reader of its output has gone away.
 */
export function resetSignalsOfRuntime(): void {
  for (const signal of [SIGPIPE, SIGXFSZ])
    syscall("rt_sigaction", signal, new BigUint64Array(4), 0, SIGNAL_SET_BYTES);
}

/** Renames this thread to its present name, which makes the kernel send an event. Returns 0 or −errno. */
export function renameOwnThreadToItself(): number {
  const name = new Uint8Array(16);
  const read = syscall("prctl", PR_GET_NAME, name, 0, 0, 0);
  return read < 0 ? read : syscall("prctl", PR_SET_NAME, name, 0, 0, 0);
}

/**
 * Sets the soft limit on open descriptors of this process and its future children, and leaves the hard limit
 * (prlimit(2), RLIMIT_NOFILE). Returns 0 or −errno: −EINVAL when `soft` is above the hard limit.
 */
export function setSoftFileLimit(soft: bigint | number): number {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const limits = new BigUint64Array(2);
  const read = syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, 0, limits);
  if (read < 0) return read;
  limits[0] = BigInt(soft);
  return syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, limits, 0);
}

/**
 * Replaces this process with a new start of the same program: the same PID, descriptors that are not
 * close-on-exec, and ignored signals; execve(2). The words need not be UTF-8. Returns −errno if that failed. `isWanted` is asked
 * last, when everything is prepared: if it returns false, nothing is done.
 */
export function executeAgain(
  argv: Uint8Array[],
  environment: Uint8Array[],
  isWanted?: () => boolean,
): number {
  return execute(process.execPath, argv, environment, isWanted);
}

/**
 * Replaces this process with a program: the same PID, descriptors that are not close-on-exec, and ignored signals; execve(2).
 * The words need not be UTF-8. Returns −errno if that failed.
 */
export function execute(
  file: string,
  argv: Uint8Array[],
  environment: Uint8Array[],
  isWanted = (): boolean => true,
): number {
  const path = terminated(new TextEncoder().encode(file));
  const words = argv.map(terminated);
  const variables = environment.map(terminated);
  const lists = [pointersTo(words), pointersTo(variables)] as const;
  if (!isWanted()) return -ECANCELED;
  // The three lists are referenced until the call returns, which it does only on failure.
  return syscall("execve", path, ...lists);
}

function terminated(bytes: Uint8Array): Uint8Array {
  const text = new Uint8Array(bytes.byteLength + 1);
  text.set(bytes);
  return text;
}

function pointersTo(texts: Uint8Array[]): BigUint64Array {
  return BigUint64Array.from([...texts.map((text) => BigInt(addressOf(text))), 0n]);
}
