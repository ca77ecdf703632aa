import { assemble, encodeFprog, ifAtLeast, ifEquals, label, load, returnValue } from "./classicBpf.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";
import { hostArch, type SyscallArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

// include/uapi/linux/seccomp.h, linux/audit.h, linux/prctl.h
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const PR_SET_NO_NEW_PRIVS = 38;
const EPERM = 1;
const AUDIT_ARCH: Record<SyscallArch, number> = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 };
/** On x86_64, calls with this bit belong to the x32 ABI: the same calls under other numbers. */
const X32_BIT = 0x4000_0000;

// struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }. The kernel reads signals
// and pids as int, so only the lower halves of the arguments matter.
const NR = 0;
const ARCH = 4;
const argument = (index: number) => 16 + index * 8;

// Targets that do not exist: PID_MAX_LIMIT is 2^22.
const NO_PID = 2 ** 30;
const NO_FD = -1;
const SIGTERM = 15;
const PTRACE_ATTACH = 16;

/** The forbidden calls, each with arguments without effect. Those with SIGTERM are allowed with signal 0. */
const FORBIDDEN: readonly [SyscallName, ...number[]][] = [
  ["kill", NO_PID, SIGTERM],
  ["tkill", NO_PID, SIGTERM],
  ["tgkill", NO_PID, NO_PID, SIGTERM],
  ["rt_sigqueueinfo", NO_PID, SIGTERM, 0],
  ["rt_tgsigqueueinfo", NO_PID, NO_PID, SIGTERM, 0],
  ["pidfd_send_signal", NO_FD, SIGTERM, 0, 0],
  ["ptrace", PTRACE_ATTACH, NO_PID, 0, 0],
  ["process_vm_readv", NO_PID, 0, 0, 0, 0, 0],
  ["process_vm_writev", NO_PID, 0, 0, 0, 0, 0],
  ["pidfd_getfd", NO_FD, 0, 0],
  ["process_madvise", NO_FD, 0, 0, 0, 0],
];

/**
 * Builds a seccomp filter that forbids every signal but 0 (the existence check), tracing, and access to
 * memory and descriptors of other processes. Forbidden calls fail with EPERM, and so does every call of
 * another ABI, whose numbers have other meanings.
 *
 * The filter allows tgkill within the process `ownPid`: the runtime suspends its own threads with it for
 * garbage collection.
 */
export function buildSignalFilter(arch: SyscallArch, ownPid: number): Uint8Array {
  const checkOf = (name: SyscallName, signalIndex: number): string =>
    signalIndex < 0 ? "deny" : name === "tgkill" ? "tgkill" : `signal is argument ${signalIndex}`;
  return assemble([
    load(ARCH),
    ifEquals(AUDIT_ARCH[arch], undefined, "deny"),
    load(NR),
    ...(arch === "x86_64" ? [ifAtLeast(X32_BIT, "deny")] : []),
    ...FORBIDDEN.map(([name, ...args]) =>
      ifEquals(syscallNumber(name, arch), checkOf(name, args.indexOf(SIGTERM))),
    ),
    returnValue(SECCOMP_RET_ALLOW),
    label("tgkill"),
    load(argument(0)),
    ifEquals(ownPid, "allow"),
    ...[2, 1].flatMap((index) => [
      label(`signal is argument ${index}`),
      load(argument(index)),
      ifEquals(0, "allow", "deny"),
    ]),
    label("allow"),
    returnValue(SECCOMP_RET_ALLOW),
    label("deny"),
    returnValue(SECCOMP_RET_ERRNO | EPERM),
  ]);
}

/** The outcome of installing the signal filter. */
export type SignalFilterOutcome =
  | { outcome: "applied" }
  | { outcome: "refused" | "unsupported"; reason: string };

/**
 * Removes from this process and all its threads, permanently, the ability to signal, trace and inspect other
 * processes: see `buildSignalFilter`; seccomp(2), Linux 3.17. Children inherit the filter, so call this after
 * starting the last one.
 *
 * Sets no_new_privs as well, as root too. Without it the call needs CAP_SYS_ADMIN. With it no program that is
 * executed later can gain rights.
 */
export function installSignalFilter(): SignalFilterOutcome {
  const unsupported = (reason: string): SignalFilterOutcome => ({ outcome: "unsupported", reason });
  const refused = (reason: string): SignalFilterOutcome => ({ outcome: "refused", reason });
  const arch = hostArch();
  if (arch === undefined) return unsupported(`there is no filter for the architecture ${process.arch}`);
  const noNewPrivs = syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (noNewPrivs < 0) return unsupported(`prctl(PR_SET_NO_NEW_PRIVS): ${errnoName(noNewPrivs)}`);
  const filter = buildSignalFilter(arch, process.pid);
  const fprog = encodeFprog(filter);
  const installed = syscall("seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, fprog);
  if (installed < 0) return unsupported(`seccomp: ${errnoName(installed)}`);
  if (installed > 0) return refused(`seccomp: thread ${installed} has another filter`);

  const open = Object.entries(tryForbiddenCalls()).filter(([, result]) => result !== -EPERM);
  if (open.length === 0) return { outcome: "applied" };
  const results = open.map(([name, result]) => `${name} returns ${result < 0 ? errnoName(result) : result}`);
  return refused(`the filter is installed, but ${results.join(", ")}`);
}

/** Tries every forbidden call. Returns −1 (EPERM) for those that the filter forbids, else ESRCH, EBADF, … */
export function tryForbiddenCalls(): Record<string, number> {
  return Object.fromEntries(FORBIDDEN.map(([name, ...args]) => [name, syscall(name, ...args)]));
}
