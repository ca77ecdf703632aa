import {
  assemble,
  type BpfLine,
  encodeFprog,
  ifAtLeast,
  ifEquals,
  label,
  load,
  returnValue,
} from "./classicBpf.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";
import { PIDFD_GET_INFO } from "./pidfd.ts";
import { hostArch, type SyscallArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

// include/uapi/linux/seccomp.h, linux/audit.h, linux/prctl.h
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;
const SECCOMP_RET_ALLOW = 0x7fff_0000;
const SECCOMP_RET_ERRNO = 0x0005_0000;
const PR_SET_NO_NEW_PRIVS = 38;
const EPERM = 1;
const ENOSYS = 38;
const DENY = SECCOMP_RET_ERRNO | EPERM;
const AUDIT_ARCH: Record<SyscallArch, number> = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 };
/** On x86_64, calls with this bit belong to the x32 ABI: the same calls under other numbers. */
const X32_BIT = 0x4000_0000;

// struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }. The kernel reads signals,
// pids and commands as int, so only the lower halves of the arguments matter.
const NR = 0;
const ARCH = 4;
const argument = (index: number) => 16 + index * 8;

// Targets that do not exist: PID_MAX_LIMIT is 2^22.
const NO_PID = 2 ** 30;
const NO_FD = -1;
const NO_ID = -1;
/** An address at which there is nothing. */
const NULL = 0;
/** Bits that none of the calls below knows. */
const BAD_FLAGS = 0x4000_0000;
const SIGTERM = 15;
const PTRACE_ATTACH = 16;
const PRIO_PROCESS = 0;
const PRIO_PGRP = 1;
const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_WHO_PGRP = 2;
const PR_SCHED_CORE = 62;
const UFFD_USER_MODE_ONLY = 1;
/** A key of System V that no program uses. */
const NO_KEY = 0x7ffe_f0f1;

const F_SETOWN = 8;
/**
 * F_DUPFD to F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC, F_*PIPE_SZ, F_*_SEALS. Missing are F_SETOWN, F_SETSIG and
 * F_SETOWN_EX, by which the kernel signals another process when a descriptor is ready, and leases, which delay
 * the opens of other processes.
 */
const FCNTL_COMMANDS = [0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1033, 1034];

const SIOCSPGRP = 0x8902;
/**
 * TCGETS, TCGETS2, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX and PIDFD_GET_INFO. Others signal:
 * FIOSETOWN, SIOCSPGRP, TIOCSIG, TIOCNOTTY, TIOCSPGRP and TIOCSWINSZ; or type into a terminal: TIOCSTI.
 */
const IOCTL_COMMANDS = [0x5401, 0x802c_542a, 0x5413, 0x541b, 0x5421, 0x5451, 0x5450, PIDFD_GET_INFO];

/** The first number that this filter does not know: Linux 6.19 ends at 470. */
const FIRST_UNKNOWN_CALL = 471;

/** One of the values of an argument, of which the kernel reads the lower 32 bits. */
type Values = [argument: number, values: readonly number[]];

/** A call that the filter forbids. */
interface Rule {
  call: SyscallName;
  /** Allows the call where one of these arguments has one of these values. */
  unless?: Values[];
  /** Forbids only calls where this argument has one of these values. */
  only?: Values;
  /** Arguments without effect, also where the call is allowed. None for a call that acts with any arguments. */
  trial?: number[];
}

/** The rules by what the calls would allow. `ownPid`: the process in which the filter is installed. */
function rulesFor(ownPid: number): Record<GivenUp, Rule[]> {
  const own = [0, ownPid];
  const always = (call: SyscallName, ...trial: number[]): Rule => ({ call, trial });
  const unless = (call: SyscallName, values: Values[], ...trial: number[]): Rule => ({
    call,
    trial,
    unless: values,
  });
  const noSignal = (argument: number): Values => [argument, [0]];
  return {
    signal: [
      unless("kill", [noSignal(1)], NO_PID, SIGTERM),
      unless("tkill", [noSignal(1)], NO_PID, SIGTERM),
      // The runtime suspends its own threads with it for garbage collection.
      unless("tgkill", [[0, [ownPid]], noSignal(2)], NO_PID, NO_PID, SIGTERM),
      unless("rt_sigqueueinfo", [noSignal(1)], NO_PID, SIGTERM, NULL),
      unless("rt_tgsigqueueinfo", [noSignal(2)], NO_PID, NO_PID, SIGTERM, NULL),
      unless("pidfd_send_signal", [noSignal(1)], NO_FD, SIGTERM, NULL, 0),
      unless("fcntl", [[1, FCNTL_COMMANDS]], NO_FD, F_SETOWN, 0),
      unless("ioctl", [[1, IOCTL_COMMANDS]], NO_FD, SIOCSPGRP, NULL),
      // RLIMIT_CPU of another process ends in SIGXCPU and SIGKILL.
      unless("prlimit64", [[0, own]], NO_PID, 0, NULL, NULL),
      { call: "vhangup" },
    ],
    trace: [
      always("ptrace", PTRACE_ATTACH, NO_PID, NULL, NULL),
      always("perf_event_open", NULL, 0, -1, -1, BAD_FLAGS),
      always("bpf", BAD_FLAGS, NULL, 0),
      always("kcmp", NO_PID, NO_PID, 0, 0, 0),
      always("get_robust_list", NO_PID, NULL, NULL),
      always("pidfd_getfd", NO_FD, 0, 0),
    ],
    memory: [
      always("process_vm_readv", NO_PID, NULL, 0, NULL, 0, 0),
      always("process_vm_writev", NO_PID, NULL, 0, NULL, 0, 0),
      always("process_madvise", NO_FD, NULL, 0, 0, 0),
      always("process_mrelease", NO_FD, 0),
      always("move_pages", NO_PID, 0, NULL, NULL, NULL, 0),
      always("migrate_pages", NO_PID, 0, NULL, NULL),
      always("userfaultfd", UFFD_USER_MODE_ONLY | BAD_FLAGS),
      always("shmget", NO_KEY, 0, 0),
      always("shmat", NO_ID, NULL, 0),
      always("shmctl", NO_ID, 0, NULL),
      always("semget", NO_KEY, 0, 0),
      always("semop", NO_ID, NULL, 0),
      always("semtimedop", NO_ID, NULL, 0, NULL),
      always("semctl", NO_ID, 0, 0, 0),
      always("msgget", NO_KEY, 0),
      always("msgsnd", NO_ID, NULL, 0, 0),
      always("msgrcv", NO_ID, NULL, 0, 0, 0),
      always("msgctl", NO_ID, 0, NULL),
      always("mq_open", NULL, 0, 0, NULL),
      always("mq_unlink", NULL),
    ],
    stop: [
      unless("sched_setaffinity", [[0, own]], NO_PID, 0, NULL),
      unless("sched_setscheduler", [[0, own]], NO_PID, 0, NULL),
      unless("sched_setparam", [[0, own]], NO_PID, NULL),
      unless("sched_setattr", [[0, own]], NO_PID, NULL, 0),
      // `--nice` and `--ionice` set values of single threads, never of a whole group or user.
      unless("setpriority", [[0, [PRIO_PROCESS]]], PRIO_PGRP, NO_PID, 0),
      unless("ioprio_set", [[0, [IOPRIO_WHO_PROCESS]]], IOPRIO_WHO_PGRP, NO_PID, 0),
      { call: "prctl", only: [0, [PR_SCHED_CORE]], trial: [PR_SCHED_CORE, 0, NO_PID, 0, NULL] },
      // A permission event stops the process that opens a file.
      always("fanotify_init", BAD_FLAGS, 0),
    ],
    bypass: [
      // Operations in a ring are not system calls, so no filter sees them.
      always("io_uring_setup", 0, NULL),
      always("io_uring_enter", NO_FD, 0, 0, 0, NULL, 0),
      always("io_uring_register", NO_FD, 0, NULL, 0),
      always("keyctl", BAD_FLAGS),
      always("add_key", NULL, NULL, NULL, 0, 0),
      always("request_key", NULL, NULL, NULL, 0),
      always("setns", NO_FD, 0),
      always("unshare", 1),
      always("open_by_handle_at", NO_FD, NULL, 0),
    ],
    machine: [
      always("reboot", 0, 0, 0, NULL),
      always("kexec_load", 0, 0, NULL, BAD_FLAGS),
      always("kexec_file_load", NO_FD, NO_FD, 0, NULL, BAD_FLAGS),
      always("init_module", NULL, 0, NULL),
      always("finit_module", NO_FD, NULL, BAD_FLAGS),
      always("delete_module", NULL, 0),
      always("mount", NULL, NULL, NULL, 0, NULL),
      always("umount2", NULL, 0),
      always("mount_setattr", NO_FD, NULL, BAD_FLAGS, NULL, 0),
      always("move_mount", NO_FD, NULL, NO_FD, NULL, BAD_FLAGS),
      always("fsopen", NULL, 0),
      always("fspick", NO_FD, NULL, BAD_FLAGS),
      always("open_tree", NO_FD, NULL, BAD_FLAGS),
      always("pivot_root", NULL, NULL),
      always("swapoff", NULL),
    ],
  };
}

/**
 * The process that gets a filter. `observer`: it governs and observes. `meter`: it also enters network namespaces, and calls
 * drivers of devices by ioctl(2), of which it keeps all but those that signal, type or disconnect.
 */
export type FilterOwner = "observer" | "meter";

/**
 * FIOSETOWN, SIOCSPGRP, FIOASYNC, TIOCSIG, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP, TIOCSWINSZ, TIOCSTI, TIOCVHANGUP, TIOCLINUX,
 * KDSIGACCEPT, VT_SETMODE.
 */
const HARMFUL_IOCTLS = [
  ...[0x8901, SIOCSPGRP, 0x5452, 0x4004_5436, 0x5422, 0x540e, 0x5410, 0x5414, 0x5412, 0x5437],
  ...[0x541c, 0x4b4e, 0x5602],
];

function rulesOf(owner: FilterOwner, ownPid: number): Rule[] {
  const rules = Object.values(rulesFor(ownPid)).flat();
  if (owner === "observer") return rules;
  return rules.flatMap((rule): Rule[] => {
    if (rule.call === "setns") return [];
    if (rule.call !== "ioctl") return [rule];
    return [{ call: "ioctl", only: [1, HARMFUL_IOCTLS], trial: [NO_FD, SIOCSPGRP, NULL] }];
  });
}

/** The abilities that the filter takes away, each with the calls that would use it. */
export const GIVEN_UP = {
  signal: "signal other processes",
  trace: "trace and inspect them",
  memory: "read, write or share their memory, semaphores and message queues",
  stop: "stop them or take their processors away",
  bypass: "evade the filter: io_uring, other namespaces, file handles, keyrings",
  machine: "restart the machine, load kernel modules, or change mounts and swap",
} as const;
type GivenUp = keyof typeof GIVEN_UP;

/**
 * Builds a seccomp filter that forbids every signal but 0 (the existence check), tracing, access to memory and
 * descriptors of other processes, and what else `rulesFor` lists. Forbidden calls fail with EPERM, and so does
 * every call of another ABI, whose numbers have other meanings. A call that is newer than this filter fails
 * with ENOSYS, as on a kernel without it: it could be a new way to signal.
 */
export function buildSignalFilter(
  arch: SyscallArch,
  ownPid: number,
  owner: FilterOwner = "observer",
): Uint8Array {
  const rules = rulesOf(owner, ownPid);
  const jumpsFor = ({ unless = [], only }: Rule): BpfLine[] => [
    ...unless.flatMap(([index, values]) => [
      load(argument(index)),
      ...values.map((value) => ifEquals(value, "allow")),
    ]),
    ...(only ? [load(argument(only[0])), ...only[1].map((value) => ifEquals(value, "deny"))] : []),
    returnValue(only ? SECCOMP_RET_ALLOW : DENY),
  ];
  const isConditional = ({ unless, only }: Rule) => unless !== undefined || only !== undefined;
  return assemble([
    load(ARCH),
    ifEquals(AUDIT_ARCH[arch], undefined, "deny"),
    load(NR),
    ...(arch === "x86_64" ? [ifAtLeast(X32_BIT, "deny")] : []),
    ifAtLeast(FIRST_UNKNOWN_CALL, "unknown"),
    ...rules.map((rule) =>
      ifEquals(syscallNumber(rule.call, arch), isConditional(rule) ? rule.call : "deny"),
    ),
    returnValue(SECCOMP_RET_ALLOW),
    ...rules.filter(isConditional).flatMap((rule) => [label(rule.call), ...jumpsFor(rule)]),
    label("allow"),
    returnValue(SECCOMP_RET_ALLOW),
    label("unknown"),
    returnValue(SECCOMP_RET_ERRNO | ENOSYS),
    label("deny"),
    returnValue(DENY),
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
export function installSignalFilter(owner: FilterOwner = "observer"): SignalFilterOutcome {
  const unsupported = (reason: string): SignalFilterOutcome => ({ outcome: "unsupported", reason });
  const refused = (reason: string): SignalFilterOutcome => ({ outcome: "refused", reason });
  const arch = hostArch();
  if (arch === undefined) return unsupported(`there is no filter for the architecture ${process.arch}`);
  const noNewPrivs = syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (noNewPrivs < 0) return unsupported(`prctl(PR_SET_NO_NEW_PRIVS): ${errnoName(noNewPrivs)}`);
  const filter = buildSignalFilter(arch, process.pid, owner);
  const fprog = encodeFprog(filter);
  const installed = syscall("seccomp", SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, fprog);
  if (installed < 0) return unsupported(`seccomp: ${errnoName(installed)}`);
  if (installed > 0) return refused(`seccomp: thread ${installed} has another filter`);

  const open = Object.entries(tryForbiddenCalls(owner)).filter(([, result]) => result !== -EPERM);
  if (open.length === 0) return { outcome: "applied" };
  const results = open.map(([name, result]) => `${name} returns ${result < 0 ? errnoName(result) : result}`);
  return refused(`the filter is installed, but ${results.join(", ")}`);
}

/** Tries every forbidden call. Returns −1 (EPERM) for those that the filter forbids, else ESRCH, EBADF, … */
export function tryForbiddenCalls(owner: FilterOwner = "observer"): Record<string, number> {
  const rules = rulesOf(owner, process.pid);
  return Object.fromEntries(
    rules.flatMap(({ call, trial }) => (trial ? [[call, syscall(call, ...trial)]] : [])),
  );
}
