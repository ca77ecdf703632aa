import { expect, test } from "bun:test";
import { existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { directoryOf, readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { findDisk } from "../support/realCgroups.ts";
import {
  hierarchyOf,
  isRunning,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest("attach applies limits to a running process and reads each one back from the kernel", async () => {
  const { pid } = sandbox().spawn(["sleep", "1000"]);
  const flags = ["--cpu-quota", "50", "--cpu-weight", "200", "--memory-max", "64M", "--pids-max", "50"];
  await attach(sandbox(), "limited", pid, flags);
  const { limits, processes } = await sandbox().json(["inspect", "limited"]);
  expect(processes).toEqual([pid]);
  expect(limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied", actual: "50000 100000" },
    { limit: "cpu.weight", outcome: "applied", wanted: "200" },
    { limit: "memory.max", outcome: "partial", actual: String(64 * 1024 ** 2) },
    { limit: "pids.max", outcome: "applied", actual: "50" },
  ]);
  const memory = await sandbox().cgroupOf("limited", "memory");
  expect(readFileSync(`${memory}/memory.limit_in_bytes`, "utf8").trim()).toBe(String(64 * 1024 ** 2));
  const cpu = await sandbox().cgroupOf("limited", "cpu");
  expect(readFileSync(`${cpu}/cpu.cfs_quota_us`, "utf8").trim()).toBe("50000");
});

limitsTest("attach reports that a memory limit governs new allocations only", async () => {
  const { pid } = sandbox().spawn(["perl", "-e", '$x = "x" x 100e6; print "whole\\n"; sleep 1000']);
  await until("the process uses 100 MB", () => residentMegabytes(pid) > 100);
  await attach(sandbox(), "grown", pid, ["--memory-max", "64M"]);
  const { limits } = await sandbox().json(["inspect", "grown"]);
  expect(limits[0]).toMatchObject({ limit: "memory.max", outcome: "partial" });
  expect(limits[0].because).toMatch(/^new allocations only: the [12]\d\d MB that it had before stay charged/);
  expect(isRunning(pid)).toBe(true);
});

limitsTest("attach governs existing descendants too", async () => {
  const script = "sleep 1001 & (sleep 1002 & wait) & wait";
  const { pid } = sandbox().spawn(["sh", "-c", script]);
  const find = (): number[] => descendants(pid);
  await until("all descendants run", () => find().length === 3);
  for (const child of find()) sandbox().adopt(child);
  await attach(sandbox(), "tree", pid, []);
  const { processes } = await sandbox().json(["inspect", "tree"]);
  expect(processes.sort()).toEqual([pid, ...find()].sort());
});

test("a second attach to a governed process is refused and names its job", async () => {
  const { pid } = sandbox().spawn(["sleep", "1000"]);
  await attach(sandbox(), "first", pid, []);
  const second = await sandbox().run(["attach", "--pid", String(pid), "--job-id", "second"]);
  expect(second.code).toBe(2);
  expect(second.stderr).toContain("as job first");
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "first" }]);
});

limitsTest("attach to a process inside another job is refused and names its cgroup", async () => {
  const { jobId, pid } = await sandbox().startJob("whole", [], ["sh", "-c", "sleep 1000; :"]);
  await until("the workload has a child", () => descendants(pid).length === 1);
  const [child] = descendants(pid);
  const { code, stderr } = await sandbox().run(["attach", "--pid", String(child)]);
  expect(code).toBe(2);
  expect(stderr).toContain(`ffrtmp-${sandbox().tag}-${jobId}`);
});

for (const [how, command, result, shown] of [
  ["exit code 0", "exit 0", { exit_code: 0, signal: null }, "0"],
  ["exit code 23", "exit 23", { exit_code: 23, signal: null }, "23"],
  ["a signal", "kill -9 $$", { exit_code: null, signal: "SIGKILL" }, "SIGKILL"],
] as const) {
  test(`attach reports how a process ended that is not its child: ${how}`, async () => {
    const gate = sandbox().path("gate");
    const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; ${command}`;
    const { pid } = sandbox().spawn(["sh", "-c", script]);
    const { observer, output } = await attach(sandbox(), "watched", pid, []);
    writeFileSync(gate, "");
    expect(await observer.exited).toBe(0);
    expect(readFileSync(output, "utf8")).toContain(
      result.signal
        ? "JOB watched | outcome=killed | sla=COMPLIANT | reason=ended_by_signal |"
        : result.exit_code === 0
          ? "JOB watched | outcome=succeeded | sla=COMPLIANT | reason=completed_successfully |"
          : "JOB watched | outcome=failed | sla=COMPLIANT | reason=ended_with_error |",
    );
    expect(readFileSync(output, "utf8")).toContain(`| exit=${shown} | pid=${pid}`);
    const { result: recorded } = await sandbox().json(["inspect", "watched"]);
    expect(recorded).toMatchObject(result);
    expect(["pidfd", "proc-event", "proc-stat"]).toContain(recorded.exit_evidence);
    expect(sandbox().cgroups()).toEqual([]);
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
  limitsTest(`${signal} stops attach, but neither the process nor its limits`, async () => {
    const { pid } = sandbox().spawn(["sleep", "1000"]);
    const { observer } = await attach(sandbox(), "held", pid, ["--cpu-quota", "50"]);
    const inside = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    observer.kill(signal);
    await observer.exited;
    expect(isRunning(pid)).toBe(true);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(inside);
    const cpu = await sandbox().cgroupOf("held", "cpu");
    expect(readFileSync(`${cpu}/cpu.cfs_quota_us`, "utf8").trim()).toBe("50000");
    expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "held", pid, observer_pid: null }]);
  });
}

limitsTest("attach exits with 0 when its job is detached", async () => {
  const { pid } = sandbox().spawn(["sleep", "1000"]);
  const { observer, output } = await attach(sandbox(), "freed", pid, ["--cpu-quota", "50"]);
  expect((await sandbox().run(["detach", "freed"])).code).toBe(0);
  expect(await observer.exited).toBe(0);
  expect(readFileSync(output, "utf8")).toContain("freed was detached");
  expect(isRunning(pid)).toBe(true);
});

limitsTest("the quota of a process's earlier cgroup still limits its new one", async () => {
  const outer = makeCgroup(sandbox(), "cpu");
  writeFileSync(`${outer}/cpu.cfs_quota_us`, "20000");
  const { pid } = sandbox().spawn(["sh", "-c", "while :; do :; done"]);
  writeFileSync(`${outer}/cgroup.procs`, String(pid));
  await attach(sandbox(), "nested", pid, ["--cpu-quota", "100"]);
  expect((await sandbox().cgroupOf("nested", "cpu")).startsWith(`${outer}/`)).toBe(true);
  const used = (): number => Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]);
  const [startNsec, startMs] = [used(), performance.now()];
  await Bun.sleep(1500);
  expect((used() - startNsec) / 1e6 / (performance.now() - startMs)).toBeLessThan(0.35);
  await endAndRemove(sandbox(), pid, "nested", outer);
});

const disk = findDisk();
const diskTest = testIf(lacksLimits() ?? (disk === undefined ? "needs a disk to throttle" : undefined));
diskTest("attach leaves a process in a cgroup that throttles its disk", async () => {
  const outer = makeCgroup(sandbox(), "blkio");
  const throttle = `${outer}/blkio.throttle.write_bps_device`;
  writeFileSync(throttle, `${disk} 1048576`);
  const { pid } = sandbox().spawn(["sleep", "1000"]);
  writeFileSync(`${outer}/cgroup.procs`, String(pid));
  const before = membershipOf(pid, "blkio");
  const { output } = await attach(sandbox(), "throttled", pid, [
    ...["--cpu-quota", "50", "--io-max", `${disk} wbps=10M`],
  ]);
  expect(membershipOf(pid, "blkio")).toBe(before);
  expect(membershipOf(pid, "cpu")).toEndWith("-throttled");
  const { limits } = await sandbox().json(["inspect", "throttled"]);
  expect(limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied" },
    { limit: "io.max", outcome: "unsupported" },
  ]);
  expect(limits[1].because).toContain(throttle);
  expect(readFileSync(output, "utf8")).toContain("runs without io.max");
  await endAndRemove(sandbox(), pid, "throttled", outer);
});

testIf(lacksLimits() ?? lacksCommand("perl"))(
  "attach governs a process whose name has spaces, parentheses and a newline",
  async () => {
    const { pid } = sandbox().spawn(["perl", "-e", '$0 = "a) S 1 (b\\n"; sleep 1000']);
    await until("the process has set its name", () =>
      readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("a)"),
    );
    await attach(sandbox(), "strange", pid, ["--cpu-quota", "50"]);
    expect(membershipOf(pid, "cpu")).toEndWith("-strange");
    expect((await sandbox().run(["ps"])).stdout.trim().split("\n").length).toBe(2);
  },
);

/** Attaches and returns once the process is governed. The observer's output goes to a file. */
async function attach(
  box: Sandbox,
  jobId: string,
  pid: number,
  flags: string[],
): Promise<{ observer: Bun.Subprocess; output: string }> {
  const output = box.path(`${jobId}.err`);
  const args = ["attach", "--pid", String(pid), "--job-id", jobId, ...flags];
  const observer = box.start(args, { stdout: "ignore", stderr: openSync(output, "w") });
  await until(`${jobId} is governed and observed`, async () => {
    if (observer.exitCode !== null) throw new Error(readFileSync(output, "utf8"));
    const { code, stdout } = await box.run(["inspect", jobId, "--json"]);
    return code === 0 && JSON.parse(stdout).state === "running";
  });
  return { observer, output };
}

/** Makes a cgroup below the test's own. It has the sandbox's name, so that the sandbox removes it. */
function makeCgroup(box: Sandbox, controller: string): string {
  const hierarchy = hierarchyOf(controller);
  const membership = readMembership(realHost(), "self");
  const own = membership === "gone" ? undefined : directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
  const path = `${own}/test-${box.tag}`;
  mkdirSync(path);
  return path;
}

async function endAndRemove(box: Sandbox, pid: number, jobId: string, outer: string): Promise<void> {
  process.kill(pid, "SIGKILL");
  await box.resultOf(jobId);
  await until("the job's cgroup is gone", () => !existsSync(`${outer}/ffrtmp-${box.tag}-${jobId}`));
  rmdirSync(outer);
}

function membershipOf(pid: number, controller: string): string {
  const membership = readMembership(realHost(), pid);
  return membership === "gone" ? "gone" : (membership.get(hierarchyOf(controller).key) ?? "");
}

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  const direct = children.split(" ").filter(Boolean).map(Number);
  return [...direct, ...direct.flatMap(descendants)];
}

function residentMegabytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes ?? 0) / 1000;
}
