import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { runBpf } from "../../test/support/bpfInterpreter.ts";
import { buildSignalFilter } from "./seccomp.ts";
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
): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, nr, true);
  data.setUint32(4, auditArch, true);
  for (const [index, value] of args.entries())
    data.setBigUint64(16 + index * 8, BigInt.asUintN(64, BigInt(value)), true);
  return runBpf(buildSignalFilter(arch, OWN_PID), (offset) => data.getUint32(offset, true));
}

/** Arguments of each signalling call to process 1, with the signal left open. */
const SIGNALLING: [SyscallName, (signal: number | bigint) => (number | bigint)[]][] = [
  ["kill", (signal) => [1, signal]],
  ["tkill", (signal) => [1, signal]],
  ["tgkill", (signal) => [1, 1, signal]],
  ["rt_sigqueueinfo", (signal) => [1, signal, 0]],
  ["rt_tgsigqueueinfo", (signal) => [1, 1, signal, 0]],
  ["pidfd_send_signal", (signal) => [1, signal, 0, 0]],
];
const NEVER: SyscallName[] = [
  "ptrace",
  "process_vm_readv",
  "process_vm_writev",
  "pidfd_getfd",
  "process_madvise",
];

for (const arch of ["x86_64", "aarch64"] as const) {
  describe(`the filter for ${arch}`, () => {
    test.each(SIGNALLING)("lets %s ask whether a process exists, and send nothing", (name, args) => {
      const nr = syscallNumber(name, arch);
      expect(judge(arch, nr, args(0))).toBe(ALLOW);
      for (let signal = 1; signal <= 64; signal++) expect(judge(arch, nr, args(signal))).toBe(REFUSE);
      expect(judge(arch, nr, args(-1))).toBe(REFUSE);
    });

    test.each(SIGNALLING)(
      "looks at the signal of %s as the kernel does, which drops the upper half",
      (name, args) => {
        const nr = syscallNumber(name, arch);
        fc.assert(
          fc.property(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), (upper, signal) => {
            const value = (BigInt(upper) << 32n) | BigInt(signal);
            expect(judge(arch, nr, args(value))).toBe(signal === 0 ? ALLOW : REFUSE);
          }),
        );
      },
    );

    test("lets tgkill signal the process's own threads, and no other call or process", () => {
      expect(judge(arch, syscallNumber("tgkill", arch), [OWN_PID, 4030, 12])).toBe(ALLOW);
      expect(judge(arch, syscallNumber("tgkill", arch), [OWN_PID + 1, OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("tgkill", arch), [-1, OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("kill", arch), [OWN_PID, 12])).toBe(REFUSE);
      expect(judge(arch, syscallNumber("rt_tgsigqueueinfo", arch), [OWN_PID, OWN_PID, 12])).toBe(REFUSE);
    });

    test.each(NEVER)("never lets %s through", (name) => {
      expect(judge(arch, syscallNumber(name, arch), [0, 0, 0, 0, 0, 0])).toBe(REFUSE);
    });

    test("lets everything else through", () => {
      const forbidden = new Set(
        [...NEVER, ...SIGNALLING.map(([name]) => name)].map((name) => syscallNumber(name, arch)),
      );
      const others = Array.from({ length: 600 }, (_, nr) => nr).filter((nr) => !forbidden.has(nr));
      for (const nr of others) expect([nr, judge(arch, nr, [1, 9, 9])]).toEqual([nr, ALLOW]);
    });

    test("refuses every call of another ABI", () => {
      for (const auditArch of [AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0, 0xffff_ffff]) {
        for (const nr of [0, 37, 39]) expect(judge(arch, nr, [], auditArch)).toBe(REFUSE);
      }
      const other = arch === "x86_64" ? "aarch64" : "x86_64";
      expect(judge(arch, 39, [], AUDIT_ARCH[other])).toBe(REFUSE);
    });
  });
}

test("the filter for x86_64 refuses the x32 numbers of all calls", () => {
  for (const nr of [0, 39, 62, 512, 0x3fff_ffff])
    expect(judge("x86_64", 0x4000_0000 + nr, [1, 0])).toBe(REFUSE);
});

const FIXTURE = new URL("../../test/support/programs/signalFilter.ts", import.meta.url).pathname;
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write("not tried: seccomp as another user: changing to one takes root\n");

/** Runs the fixture and ends its bystander, which it cannot end itself. */
function runFixture(...wrapper: string[]) {
  const child = Bun.spawnSync([...wrapper, process.execPath, FIXTURE], { stderr: "inherit" });
  expect(child.exitCode).toBe(0);
  const report = JSON.parse(child.stdout.toString());
  expect(readFileSync(`/proc/${report.bystander}/comm`, "utf8")).toBe("sleep\n");
  process.kill(report.bystander, "SIGKILL");
  return report;
}

describe.each([
  ["as this user", [] as string[]],
  ["without rights", ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]],
] as const)("%s, a process that has given up the power to signal", (_, wrapper) => {
  const skipped = wrapper.length > 0 && !isRoot;
  const report = skipped ? undefined : runFixture(...wrapper);
  const forbidden = [...SIGNALLING.map(([name]) => name), ...NEVER].sort();
  const allRefused = Object.fromEntries(forbidden.map((name) => [name, -1]));

  test.skipIf(skipped)("could make each call before", () => {
    expect(Object.keys(report.before).sort()).toEqual(forbidden);
    expect(Object.values(report.before)).not.toContain(-1);
    expect(report.givenUp).toEqual({ outcome: "applied" });
  });

  test.skipIf(skipped)("gets EPERM from each, in threads that were there and in new ones", () => {
    expect(report.after).toEqual(allRefused);
    expect(report.inEarlierThread).toEqual(allRefused);
    expect(report.inLaterThread).toEqual(allRefused);
  });

  test.skipIf(skipped)(
    "cannot end its own child, nor signal its own group, and can see that the child exists",
    () => {
      expect([report.killBystander, report.signalOwnGroup, report.bystanderExists]).toEqual([-1, -1, 0]);
      expect(report.killByRuntime).toContain("EPERM");
    },
  );

  test.skipIf(skipped)("works on: garbage collection in all threads, timers, files, SQLite", () => {
    expect(report.stopOwnThread).toBe(0);
    expect(report.churned).toEqual([400_000, 400_000, 400_000, 400_000]);
    expect(report.churnedHere).toBe(400_000);
    expect(report.work).toEqual({ file: "text", rows: { count: 2 } });
  });

  test.skipIf(skipped)("may give it up again", () => {
    expect(report.givenUpAgain).toEqual({ outcome: "applied" });
  });
});
