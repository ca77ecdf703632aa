import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { runBpf } from "../../test/support/bpfInterpreter.ts";
import { buildSignalFilter, type FilterOwner } from "./seccomp.ts";
import { type SyscallArch, type SyscallName, syscallNumber } from "./syscallNumbers.ts";

const OWN_PID = 4026;
const ALLOW = 0x7fff_0000;
const REFUSE = 0x0005_0001;
const AUDIT_ARCH: Record<SyscallArch, number> = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 };
const AUDIT_ARCH_I386 = 0x4000_0003;
const AUDIT_ARCH_ARM = 0x4000_0028;

function judge(
  arch: SyscallArch,
  nr: number,
  args: (number | bigint)[] = [],
  auditArch = AUDIT_ARCH[arch],
  owner: FilterOwner = "observer",
): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, auditArch, true);
  for (const [index, value] of args.entries())
    data.setBigUint64(16 + index * 8, BigInt.asUintN(64, BigInt(value)), true);
  return runBpf(buildSignalFilter(arch, OWN_PID, owner), (offset) => data.getUint32(offset, true));
}

/** Signalling calls, with functions that return their arguments for a signal to process 1. */
const SIGNALLING: [SyscallName, (signal: number | bigint) => (number | bigint)[]][] = [
  ["kill", (signal) => [1, signal]],
  ["tkill", (signal) => [1, signal]],
  ["tgkill", (signal) => [1, 1, signal]],
  ["rt_sigqueueinfo", (signal) => [1, signal, 0]],
  ["rt_tgsigqueueinfo", (signal) => [1, 1, signal, 0]],
  ["pidfd_send_signal", (signal) => [1, signal, 0, 0]],
];
/** Calls that are forbidden with any arguments. */
const FORBIDDEN: SyscallName[] = [
  ...(["ptrace", "perf_event_open", "bpf", "kcmp", "get_robust_list", "pidfd_getfd"] as const),
  ...(["process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"] as const),
  ...(["move_pages", "migrate_pages", "userfaultfd", "shmget", "shmat", "shmctl"] as const),
  ...(["semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl"] as const),
  ...(["mq_open", "mq_unlink", "fanotify_init", "keyctl", "add_key", "request_key"] as const),
  ...(["io_uring_setup", "io_uring_enter", "io_uring_register", "setns", "unshare"] as const),
  ...(["open_by_handle_at", "reboot", "kexec_load", "kexec_file_load", "init_module"] as const),
  ...(["finit_module", "delete_module", "mount", "umount2", "mount_setattr", "move_mount"] as const),
  ...(["fsopen", "fspick", "open_tree", "pivot_root", "swapoff", "vhangup"] as const),
];
const OTHER_PID = OWN_PID + 1;
const GARBAGE = 0xdead_beef;
/** Calls that are forbidden for some values of one argument: its index, then allowed and forbidden values. */
const CONDITIONAL: [SyscallName, number, number[], number[]][] = [
  // F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY, F_CANCELLK, F_SETDELEG
  ["fcntl", 1, [0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1033], [8, 10, 15, 1024, 1026, 1029, 1040]],
  // FIOSETOWN, SIOCSPGRP, FIOASYNC, TIOCSTI, TIOCSPGRP, TIOCSCTTY, TIOCNOTTY, TIOCSWINSZ, TIOCLINUX, TIOCSIG,
  // TIOCVHANGUP, KDSIGACCEPT, VT_SETMODE
  [
    "ioctl",
    1,
    [0x5401, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x802c_542a, 0xc040_ff0b],
    [
      ...[0x8901, 0x8902, 0x5452, 0x5412, 0x5410, 0x540e, 0x5422, 0x5414, 0x541c, 0x4004_5436],
      ...[0x5437, 0x4b4e, 0x5602],
    ],
  ],
  ["prlimit64", 0, [0, OWN_PID], [OTHER_PID, 1, -1]],
  ["sched_setaffinity", 0, [0, OWN_PID], [OTHER_PID, 1, -1]],
  ["sched_setscheduler", 0, [0, OWN_PID], [OTHER_PID, 1, -1]],
  ["sched_setparam", 0, [0, OWN_PID], [OTHER_PID, 1, -1]],
  ["sched_setattr", 0, [0, OWN_PID], [OTHER_PID, 1, -1]],
  // PRIO_PROCESS; PRIO_PGRP, PRIO_USER
  ["setpriority", 0, [0], [1, 2, 3]],
  // IOPRIO_WHO_PROCESS; IOPRIO_WHO_PGRP, IOPRIO_WHO_USER
  ["ioprio_set", 0, [1], [0, 2, 3]],
  // PR_SET_NAME, PR_GET_NAME, PR_SET_NO_NEW_PRIVS, PR_SET_VMA; PR_SCHED_CORE
  ["prctl", 0, [15, 16, 38, 0x5356_4d41], [62]],
];
/** include/uapi/asm-generic/unistd.h, Linux 6.19 */
const LAST_KNOWN_CALL = 470;
const NO_SUCH_CALL = 0x0005_0026;

for (const arch of ["x86_64", "aarch64"] as const) {
  describe(`the filter for ${arch}`, () => {
    test.each(SIGNALLING)("allows the existence check by %s and no signal", (name, args) => {
      const nr = syscallNumber(name, arch);
      expect(judge(arch, nr, args(0))).toBe(ALLOW);
      for (let signal = 1; signal <= 64; signal++) expect(judge(arch, nr, args(signal))).toBe(REFUSE);
      expect(judge(arch, nr, args(-1))).toBe(REFUSE);
    });

    test.each(SIGNALLING)("reads only the lower half of the signal of %s, like the kernel", (name, args) => {
      const nr = syscallNumber(name, arch);
      fc.assert(
        fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), (upper, signal) => {
          const value = (BigInt(upper) << 32n) | BigInt(signal);
          expect(judge(arch, nr, args(value))).toBe(signal === 0 ? ALLOW : REFUSE);
        }),
      );
    });

    test("allows tgkill to signal threads of the own process, and no other call or process", () => {
      expect(judge(arch, syscallNumber("tgkill", arch), [OWN_PID, 4030, 12])).toBe(ALLOW);
      expect(judge(arch, syscallNumber("tgkill", arch), [OWN_PID + 1, OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("tgkill", arch), [-1, OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("kill", arch), [OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("rt_tgsigqueueinfo", arch), [OWN_PID, OWN_PID, 12])).toBe(REFUSE);
    });

    test.each(FORBIDDEN)("forbids %s", (name) => {
      expect(judge(arch, syscallNumber(name, arch), [0, 0, 0, 0, 0, 0])).toBe(REFUSE);
    });

    test.each(CONDITIONAL)(
      "forbids %s by the lower half of argument %i",
      (name, index, allowed, forbidden) => {
        const nr = syscallNumber(name, arch);
        for (const upper of [0n, 1n, 0xffff_ffffn]) {
          const decide = (value: number) => {
            const args: (number | bigint)[] = [GARBAGE, GARBAGE, GARBAGE];
            args[index] = (upper << 32n) | BigInt.asUintN(32, BigInt(value));
            return [value, judge(arch, nr, args)];
          };
          expect(allowed.map(decide)).toEqual(allowed.map((value) => [value, ALLOW]));
          expect(forbidden.map(decide)).toEqual(forbidden.map((value) => [value, REFUSE]));
        }
      },
    );

    test("allows all other calls that it knows", () => {
      const forbidden = new Set(
        [...FORBIDDEN, ...SIGNALLING.map(([name]) => name), ...CONDITIONAL.map(([name]) => name)].map(
          (name) => syscallNumber(name, arch),
        ),
      );
      const all = Array.from({ length: LAST_KNOWN_CALL + 1 }, (_, nr) => nr);
      for (const nr of all.filter((nr) => !forbidden.has(nr)))
        expect([nr, judge(arch, nr, [1, 9, 9])]).toEqual([nr, ALLOW]);
    });

    test("answers a call that it does not know as a kernel without that call", () => {
      for (const nr of [LAST_KNOWN_CALL + 1, 512, 600, 0x3fff_ffff])
        expect([nr, judge(arch, nr, [0, 0, 0])]).toEqual([nr, NO_SUCH_CALL]);
    });

    test("forbids every call of another ABI", () => {
      for (const auditArch of [AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0, 0xffff_ffff]) {
        for (const nr of [0, 37, 39]) expect(judge(arch, nr, [], auditArch)).toBe(REFUSE);
      }
      const other = arch === "x86_64" ? "aarch64" : "x86_64";
      expect(judge(arch, 39, [], AUDIT_ARCH[other])).toBe(REFUSE);
    });
  });
}

test("the filter for x86_64 forbids the x32 numbers of all calls", () => {
  for (const nr of [0, 39, 62, 512, 0x3fff_ffff])
    expect(judge("x86_64", 0x4000_0000 + nr, [1, 0])).toBe(REFUSE);
});

const PROGRAM = new URL("../../test/support/programs/signalFilter.ts", import.meta.url).pathname;
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("not tried: seccomp as another user: changing to one takes root\n");

/** Runs the program and kills its bystander, which the program cannot do itself. */
function runProgram(...wrapper: string[]) {
  const child = Bun.spawnSync([...wrapper, process.execPath, PROGRAM], { stderr: "inherit" });
  expect(child.exitCode).toBe(0);
  const report = JSON.parse(child.stdout.toString());
  expect(readFileSync(`/proc/${report.bystander}/comm`, "utf8")).toBe("sleep\n");
  process.kill(report.bystander, "SIGKILL");
  return report;
}

const PRIVILEGED = new Set([
  ...[
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "fanotify_init",
    "io_uring_setup",
    "setns",
    "open_by_handle_at",
  ],
  ...["reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "mount"],
  ...["umount2", "mount_setattr", "move_mount", "fsopen", "fspick", "open_tree", "pivot_root", "swapoff"],
]);

describe.each([
  ["as this user", [] as string[]],
  ["without rights", ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]],
] as const)("%s, a process with the signal filter", (_, wrapper) => {
  const skipped = wrapper.length > 0 && !isRoot;
  const report = skipped ? undefined : runProgram(...wrapper);
  // vhangup(2) has no arguments without effect.
  const forbidden = [...SIGNALLING, ...CONDITIONAL, ...FORBIDDEN.map((name) => [name] as const)]
    .map(([name]) => name)
    .filter((name) => name !== "vhangup")
    .sort();
  const allRefused = Object.fromEntries(forbidden.map((name) => [name, -1]));

  test.skipIf(skipped)("can make every call before the filter is installed", () => {
    expect(Object.keys(report.before).sort()).toEqual(forbidden);
    const refused = Object.keys(report.before).filter((name) => report.before[name] === -1);
    // The kernel itself forbids the rest to unprivileged processes.
    expect(wrapper.length > 0 || !isRoot ? refused.filter((name) => !PRIVILEGED.has(name)) : refused).toEqual(
      [],
    );
    expect(report.installed).toEqual({ outcome: "applied" });
  });

  test.skipIf(skipped)("gets EPERM from every call, in earlier and later threads", () => {
    expect(report.after).toEqual(allRefused);
    expect(report.inEarlierThread).toEqual(allRefused);
    expect(report.inLaterThread).toEqual(allRefused);
  });

  test.skipIf(skipped)(
    "cannot kill its child or signal its group, and can check that the child exists",
    () => {
      expect([report.killBystander, report.signalOwnGroup, report.bystanderExists]).toEqual([-1, -1, 0]);
      expect(report.killByRuntime).toContain("EPERM");
    },
  );

  test.skipIf(skipped)(
    "cannot end another process by an event of a descriptor or a limit of its time",
    () => {
      // Without the filter both end it.
      expect(report.attacksBefore).toEqual({ byDescriptor: 0, byTimeLimit: 0, ended: ["SIGIO", "SIGKILL"] });
      expect(report.attacksAfter).toEqual({ byDescriptor: -1, byTimeLimit: -1, ended: [] });
    },
  );

  test.skipIf(skipped)("continues to work: garbage collection in all threads, timers, files, SQLite", () => {
    expect(report.stopOwnThread).toBe(0);
    expect(report.churned).toEqual([400_000, 400_000, 400_000, 400_000]);
    expect(report.churnedHere).toBe(400_000);
    expect(report.work).toEqual({ file: "text", rows: { count: 2 } });
    expect(report.childUnderFilter).toBe("sh\n");
  });

  test.skipIf(skipped)("can install the filter again", () => {
    expect(report.installedAgain).toEqual({ outcome: "applied" });
  });
});

describe("the filter of the meter", () => {
  for (const arch of ["x86_64", "aarch64"] as const) {
    const ofMeter = (call: SyscallName, args: (number | bigint)[] = []) =>
      judge(arch, syscallNumber(call, arch), args, AUDIT_ARCH[arch], "meter");

    test(`forbids what that of the daemon forbids, but setns and calls of drivers, on ${arch}`, () => {
      for (const [call, args] of SIGNALLING) expect([call, ofMeter(call, args(9))]).toEqual([call, REFUSE]);
      for (const call of FORBIDDEN)
        expect([call, ofMeter(call)]).toEqual([call, call === "setns" ? ALLOW : REFUSE]);
      for (const [call, index, , forbidden] of CONDITIONAL)
        for (const value of forbidden)
          expect([call, value, ofMeter(call, [...Array(index).fill(0), value])]).toEqual([
            call,
            value,
            REFUSE,
          ]);
      // NV_ESC_CARD_INFO and NV_ESC_RM_CONTROL of NVIDIA's driver.
      for (const command of [0xc900_46c8, 0xc020_462a]) expect(ofMeter("ioctl", [3, command])).toBe(ALLOW);
    });
  }
});
