import { answer, assemble, type BpfLine, ifAtLeast, ifEquals, label, load } from "./classicBpf.ts";
import { errnoName } from "./errno.ts";
import { tryForbiddenCalls } from "./forbiddenCalls.ts";
import { addressOf, syscall } from "./libc.ts";
import { hostArch, type SyscallArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

// include/uapi/linux/seccomp.h, linux/audit.h, linux/prctl.h
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const PR_SET_NO_NEW_PRIVS = 38;
const EPERM = 1;
const AUDIT_ARCH: Record<SyscallArch, number> = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 };
/** On x86_64, calls with this bit are those of the x32 ABI: the same calls again, under other numbers. */
const X32_BIT = 0x4000_0000;
const INSTRUCTION_BYTES = 8;

// struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }. The kernel takes signals and
// pids as int, so that the lower halves of the arguments are all that counts.
const NR = 0;
const ARCH = 4;
const argument = (index: number) => 16 + index * 8;

const SIGNAL_IS_SECOND: SyscallName[] = ["kill", "tkill", "rt_sigqueueinfo", "pidfd_send_signal"];
const SIGNAL_IS_THIRD: SyscallName[] = ["rt_tgsigqueueinfo"];
const NEVER: SyscallName[] = [
  "ptrace",
  "process_vm_readv",
  "process_vm_writev",
  "pidfd_getfd",
  "process_madvise",
];

/**
 * A seccomp filter under which no signal can be sent but 0 (the existence check), no process traced, and no
 * memory or descriptor of another one reached: those calls answer EPERM, and so does every call of another
 * ABI, whose numbers mean other things.
 *
 * One exception: tgkill within the process `ownPid`. The runtime stops its own threads with it to collect
 * garbage.
 */
export function buildSignalFilter(arch: SyscallArch, ownPid: number): Uint8Array {
  const toCalls = (names: SyscallName[], target: string): BpfLine[] =>
    names.map((name) => ifEquals(syscallNumber(name, arch), target));
  return assemble([
    load(ARCH),
    ifEquals(AUDIT_ARCH[arch], undefined, "refuse"),
    load(NR),
    ...(arch === "x86_64" ? [ifAtLeast(X32_BIT, "refuse")] : []),
    ...toCalls(SIGNAL_IS_SECOND, "signal is second"),
    ...toCalls(["tgkill"], "tgkill"),
    ...toCalls(SIGNAL_IS_THIRD, "signal is third"),
    ...toCalls(NEVER, "refuse"),
    answer(SECCOMP_RET_ALLOW),
    label("tgkill"),
    load(argument(0)),
    ifEquals(ownPid, "allow"),
    label("signal is third"),
    load(argument(2)),
    ifEquals(0, "allow", "refuse"),
    label("signal is second"),
    load(argument(1)),
    ifEquals(0, "allow", "refuse"),
    label("allow"),
    answer(SECCOMP_RET_ALLOW),
    label("refuse"),
    answer(SECCOMP_RET_ERRNO | EPERM),
  ]);
}

export type SignalFilterOutcome =
  | { outcome: "applied" }
  | { outcome: "refused"; reason: string }
  | { outcome: "unsupported"; reason: string };

/**
 * Gives up, for this process and for good, the power to signal, trace and inspect others: in every thread
 * that there is and that will be. See `buildSignalFilter`; seccomp(2), Linux 3.17.
 *
 * no_new_privs is set along with it, root or not. Without it the call would need CAP_SYS_ADMIN; with it
 * nothing that is executed later can gain rights, which is one more thing given up and takes nothing away
 * from a process that starts no programs. To be called when none is to be started any more: a child would
 * inherit the filter.
 */
export function installSignalFilter(): SignalFilterOutcome {
  const arch = hostArch();
  if (arch === undefined) return { outcome: "unsupported", reason: `no filter is known for ${process.arch}` };
  const noNewPrivs = syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (noNewPrivs < 0) {
    return { outcome: "unsupported", reason: `prctl(PR_SET_NO_NEW_PRIVS): ${errnoName(noNewPrivs)}` };
  }
  const filter = buildSignalFilter(arch, process.pid);
  // struct sock_fprog { u16 len; struct sock_filter *filter; }
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, filter.byteLength / INSTRUCTION_BYTES, true);
  program.setBigUint64(8, BigInt(addressOf(filter)), true);
  const installed = syscall("seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program);
  if (installed < 0) return { outcome: "unsupported", reason: `seccomp: ${errnoName(installed)}` };
  if (installed > 0) {
    return { outcome: "refused", reason: `seccomp: thread ${installed} is under a filter of its own` };
  }
  return confirm();
}

function confirm(): SignalFilterOutcome {
  const open = Object.entries(tryForbiddenCalls()).filter(([, result]) => result !== -EPERM);
  if (open.length === 0) return { outcome: "applied" };
  const answers = open.map(([name, result]) => `${name} answers ${result < 0 ? errnoName(result) : result}`);
  return { outcome: "refused", reason: `the filter is in place, but ${answers.join(", ")}` };
}
