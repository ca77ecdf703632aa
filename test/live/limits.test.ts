import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { eventually, FFRTMP, hierarchyOf, lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const memoryTest = testIf(lacksLimits() ?? lacksPlainMemory());
const softLimitTest = testIf(lacksLimits() ?? lacksSoftLimits());

const BUSY_LOOP = ["sh", "-c", "while :; do :; done"];
const ALLOCATE_200_MB = ["perl", "-e", '$memory = "x" x 200e6; print "whole\\n"'];

limitsTest("--cpu-quota 50 limits a busy loop to half a core, until detach", async () => {
  // With the highest weight, so that only the quota limits the loop, however busy the machine is.
  const flags = ["--cpu-quota", "50", "--cpu-weight", "10000"];
  const { jobId, pid } = await sandbox().startJob("busy", flags, BUSY_LOOP);
  const { limits } = await sandbox().json(["inspect", jobId]);
  expect(limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied", wanted: "50000 100000", actual: "50000 100000" },
    { limit: "cpu.weight", outcome: "applied" },
  ]);

  // Measured in periods of the quota, because wall time also passes while other work uses the CPU.
  const directory = await sandbox().cgroupOf(jobId, "cpu");
  const usage = `${await sandbox().cgroupOf(jobId, "cpuacct")}/cpuacct.usage`;
  const before = readBandwidth(directory, usage);
  const after = await eventually("the busy loop is throttled in many periods", () => {
    const now = readBandwidth(directory, usage);
    return now.throttled - before.throttled >= 20 ? now : undefined;
  });
  const periods = after.periods - before.periods;
  const perPeriodMs = (after.usedNsec - before.usedNsec) / 1e6 / periods;
  console.log(`CPU under a quota of 50 ms per 100 ms: ${perPeriodMs.toFixed(1)} ms in each of ${periods}`);
  // The first and the last period are incomplete.
  expect(perPeriodMs).toBeLessThan(60);

  expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  // Highest priority for a short time. Under the quota even this would not give the loop as much in any
  // second.
  setPriority(pid, -20);
  // The priority counts in its session alone where the kernel gives each session a share: sched(7), "The autogroup feature".
  const autogroup = `/proc/${pid}/autogroup`;
  if (existsSync(autogroup)) writeFileSync(autogroup, "-20");
  const free = await eventually("the busy loop gets more than half a core", async () => {
    const measured = await shareOfCore(() => runNsec(pid), 1000);
    return measured > 0.6 ? measured : undefined;
  });
  console.log(`CPU after detach: ${(free * 100).toFixed(1)} % of a core`);
});

limitsTest("the quota of an outer cgroup limits a job with a higher quota", async () => {
  const { wrapper } = await sandbox().startJob(
    "outer",
    ["--cpu-quota", "20"],
    [
      ...["sh", "-c", `exec "$0" run --job-id inner --cpu-quota 100 -- ${BUSY_LOOP[0]} -c "$1"`],
      ...[FFRTMP, BUSY_LOOP[2] as string],
    ],
  );
  expect(wrapper.exitCode).toBeNull();
  const pid = await sandbox().pidOf("inner");
  sandbox().adopt(pid);
  const outer = await sandbox().cgroupOf("outer", "cpu");
  const inner = await sandbox().cgroupOf("inner", "cpu");
  expect(inner.startsWith(`${outer}/`)).toBe(true);
  expect(await shareOfCore(() => runNsec(pid), 2000)).toBeLessThan(0.3);
});

memoryTest("the kernel kills a workload above --memory-max, and the result names the limit", async () => {
  const { code, stdout, stderr } = await sandbox().run([
    ...["run", "--job-id", "greedy", "--memory-max", "64M", "--"],
    ...ALLOCATE_200_MB,
  ]);
  expect(code).toBe(137);
  expect(stdout).toBe("");
  expect(stderr).toMatch(
    /^JOB greedy \| outcome=killed \| sla=VIOLATION \| reason=killed_at_our_memory_cap \| .*exit=SIGKILL/m,
  );
  const { result } = await sandbox().json(["inspect", "greedy"]);
  expect(result).toMatchObject({
    exit_code: null,
    signal: "SIGKILL",
    exit_evidence: "parent",
    platform_sla_compliant: false,
    limits: [{ limit: "memory.max", outcome: "applied", actual: String(64 * 1024 ** 2) }],
  });
  expect(result.usage.oom_kills).toBeGreaterThan(0);
  expect(result.usage.memory_peak_bytes).toBeLessThanOrEqual(64 * 1024 ** 2);
});

memoryTest(
  "a child that is killed at --memory-max is a violation, although the job exits with 0",
  async () => {
    const script = '"$@"; exit 0';
    const { code, stderr } = await sandbox().run([
      ...["run", "--memory-max", "64M", "--", "sh", "-c", script, "sh"],
      ...ALLOCATE_200_MB,
    ]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/sla=VIOLATION \| reason=killed_at_our_memory_cap \| .*exit=0/);
  },
);

softLimitTest("run warns once that a limit is in force only in part, and why", async () => {
  const flags = ["--memory-limit", "64M", "--memory-max", "128M"];
  const { code, stderr } = await sandbox().run(["run", "--job-id", "soft", ...flags, "--", "true"]);
  expect(code).toBe(0);
  expect(stderr.split("\n").filter((line) => line.includes("memory."))).toEqual([
    "ffrtmp: job soft runs with only part of memory.high (cgroup v1 reclaims above a soft limit only while the whole machine is short of memory)",
  ]);
});

memoryTest("--memory-limit never ends a workload that uses more", async () => {
  const { code, stdout, stderr } = await sandbox().run([
    ...["run", "--job-id", "soft", "--memory-limit", "64", "--"],
    ...ALLOCATE_200_MB,
  ]);
  expect(stdout).toBe("whole\n");
  expect(code).toBe(0);
  expect(stderr).toMatch(/sla=COMPLIANT \| reason=completed_successfully/);
  const { result } = await sandbox().json(["inspect", "soft"]);
  expect(result.limits).toMatchObject([{ limit: "memory.high" }]);
  expect(["applied", "partial"]).toContain(result.limits[0].outcome);
  expect(result.usage.memory_peak_bytes).toBeGreaterThan(200e6);
});

limitsTest("--pids-max counts only the workload's processes, from its start", async () => {
  const script =
    "while (@c < 9) { my $p = fork // last; $p or sleep 100; push @c, $p } print 1 + @c; kill 9, @c";
  for (let start = 0; start < 10; start++) {
    const { stdout } = await sandbox().run(["run", "--pids-max", "3", "--", "perl", "-e", script]);
    expect(stdout).toBe("3");
  }
});

limitsTest(
  "nice, ionice, oom_score_adj and CPUs apply to the workload and not to the waiting wrapper",
  async () => {
    const flags = ["--nice", "7", "--oom-score-adj", "300", "--ionice", "idle", "--cpus", "0"];
    const { jobId, pid, wrapper } = await sandbox().startJob("kind", flags, ["sleep", "1000"]);
    const { limits } = await sandbox().json(["inspect", jobId]);
    expect(limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(Array(4).fill("applied"));
    expect(niceOf(pid)).toBe(7);
    expect(oomScoreAdjOf(pid)).toBe(300);
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^Cpus_allowed_list:\s+0$/m);
    expect(niceOf(wrapper.pid)).toBe(niceOf(process.pid));
    expect(oomScoreAdjOf(wrapper.pid)).toBe(oomScoreAdjOf(process.pid));
  },
);

// nr_periods 42
// nr_throttled 40
/** Reads the counters of a quota (cpu.stat of v1) and the CPU time used. */
function readBandwidth(
  directory: string,
  usage: string,
): { periods: number; throttled: number; usedNsec: number } {
  const stat = readFileSync(`${directory}/cpu.stat`, "utf8");
  const count = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1]);
  return {
    periods: count("nr_periods"),
    throttled: count("nr_throttled"),
    usedNsec: Number(readFileSync(usage, "utf8")),
  };
}

/** Measures CPU time per elapsed time. Other work can only make it smaller. */
async function shareOfCore(readNsec: () => number, windowMs: number): Promise<number> {
  const startMs = performance.now();
  const startNsec = readNsec();
  await Bun.sleep(windowMs);
  return (readNsec() - startNsec) / 1e6 / (performance.now() - startMs);
}

// 81234567 1234 56   ← ns on a CPU, ns waiting for one, time slices
function runNsec(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]);
}

function niceOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[16]);
}

function oomScoreAdjOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
}

/** Only cgroup v1 has a soft limit that applies in part. */
function lacksSoftLimits(): string | undefined {
  return hierarchyOf("memory").version === 1 ? undefined : "needs memory limits of cgroup v1";
}

function lacksPlainMemory(): string | undefined {
  const swaps = readFileSync("/proc/swaps", "utf8").trim().split("\n").slice(1);
  return swaps.length === 0
    ? undefined
    : "needs a machine without swap, because memory above the limit would be swapped out";
}
