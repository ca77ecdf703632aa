import { expect, test } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { parseDryRun } from "../support/dryRun.ts";
import { handlesSignals } from "../support/processes.ts";
import {
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
const ffmpegTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));

/** Encodes in real time, and so runs longer than the test. */
const TRANSCODE = ["-nostdin", "-re", "-f", "lavfi", "-i", "testsrc=size=128x72:rate=10", "-f", "null", "-"];
const LIMITS = ["--cpu-quota", "50", "--memory-limit", "500"];

for (const events of ["auto", "polling"]) {
  ffmpegTest(`watch finds an ffmpeg that starts, and one that ran before (--events ${events})`, async () => {
    const { name, path } = sandbox().program("ffmpeg");
    const before = sandbox().spawn([path, ...TRANSCODE], { stderr: "ignore" });
    await until("ffmpeg runs", () => readFileSync(`/proc/${before.pid}/cmdline`, "utf8").startsWith(path));
    const log = await startWatch(sandbox(), name, "--events", events, "--scan-interval", "200ms", ...LIMITS);
    const after = sandbox().spawn([path, ...TRANSCODE], { stderr: "ignore" });
    for (const { pid } of [before, after]) {
      const jobId = `auto-${name}-${pid}`;
      await until(`${pid} is found`, () =>
        log.text().includes(`Attaching to PID ${pid} (${name}) as job ${jobId}\n`),
      );
      const { limits, processes, mode } = await sandbox().json(["inspect", jobId]);
      expect({ mode, processes }).toEqual({ mode: "watch", processes: [pid] });
      expect(limits).toMatchObject([
        { limit: "cpu.max", outcome: "applied", actual: "50000 100000" },
        { limit: "memory.high", actual: String(500 * 1024 ** 2) },
      ]);
    }
    before.kill("SIGKILL");
    const result = await sandbox().resultOf(`auto-${name}-${before.pid}`);
    expect(result).toMatchObject({ exit_code: null, signal: "SIGKILL" });
    // At SIGINT ffmpeg finishes its file and exits with 255, but only after it has installed its handler.
    await until("ffmpeg listens to SIGINT", () => handlesSignals(after.pid, "SIGINT"));
    after.kill("SIGINT");
    expect(await sandbox().resultOf(`auto-${name}-${after.pid}`)).toMatchObject({
      exit_code: 255,
      signal: null,
    });
    await until("both ends are logged", () => log.text().match(/^\S+ JOB auto-/gm)?.length === 2);
  });
}

ffmpegTest(
  "SIGKILL of the daemon changes nothing for ffmpeg, and the next daemon takes the job over",
  async () => {
    const { name, path } = sandbox().program("ffmpeg");
    const first = await startWatch(sandbox(), name, ...LIMITS);
    const { pid } = sandbox().spawn([path, ...TRANSCODE], { stderr: "ignore" });
    const jobId = `auto-${name}-${pid}`;
    await until("it is found", () => first.text().includes(jobId));
    const inside = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const cpu = await sandbox().cgroupOf(jobId, "cpu");

    first.daemon.kill("SIGKILL");
    await first.daemon.exited;
    expect(isRunning(pid)).toBe(true);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(inside);
    expect(readFileSync(`${cpu}/cpu.cfs_quota_us`, "utf8").trim()).toBe("50000");

    const second = await startWatch(sandbox(), name, ...LIMITS);
    await until("the job is taken over", () =>
      second.text().includes(`Taking over job ${jobId} (PID ${pid})`),
    );
    expect(second.text()).not.toContain("Attaching to");
    expect(await sandbox().json(["ps"])).toMatchObject([
      { job_id: jobId, pid, observer_pid: second.daemon.pid },
    ]);
    process.kill(pid, "SIGKILL");
    expect(await sandbox().resultOf(jobId)).toMatchObject({ signal: "SIGKILL", ending: "exited" });
    expect(await sandbox().json(["history"])).toHaveLength(1);
  },
);

test("a job that ended while no daemon ran is closed by the next one, without an invented code", async () => {
  const { name, path } = sandbox().program("sleep");
  const first = await startWatch(sandbox(), name);
  const { pid } = sandbox().spawn([path, "1000"]);
  const jobId = `auto-${name}-${pid}`;
  await until("it is found", () => first.text().includes(jobId));
  first.daemon.kill("SIGKILL");
  await first.daemon.exited;
  process.kill(pid, "SIGKILL");
  await until("it has ended", () => !isRunning(pid));
  await startWatch(sandbox(), name);
  const result = await sandbox().resultOf(jobId);
  expect(result).toMatchObject({
    ending: "unobserved",
    exit_code: null,
    signal: null,
    exit_evidence: null,
  });
  expect(result.platform_sla_compliant).toBe(false);
  expect(sandbox().cgroups()).toEqual([]);
});

test("a job whose run wrapper was SIGKILLed is taken over, and its true exit code recorded", async () => {
  // The daemon must learn of the job from the ledger: no full scan runs during the test.
  const { daemon } = await startWatch(sandbox(), "no-such-program", "--scan-interval", "24h");
  const gate = sandbox().path("gate");
  const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exit 23`;
  const { wrapper, jobId } = await sandbox().startJob("orphan", [], ["sh", "-c", script]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  await until("it is taken over", async () => {
    return (await sandbox().json(["inspect", jobId])).observer_pid === daemon.pid;
  });
  writeFileSync(gate, "");
  expect(await sandbox().resultOf(jobId)).toMatchObject({ exit_code: 23, ending: "exited" });
  expect(await sandbox().json(["history"])).toHaveLength(1);
});

test("a job that ends together with its wrapper is recorded with its true end", async () => {
  await startWatch(sandbox(), "no-such-program");
  const { wrapper, jobId, pid } = await sandbox().startJob("pair", [], ["sleep", "1000"]);
  // The daemon learns of the job from the ledger. Before that, no ffrtmp but the wrapper can see the end.
  await Bun.sleep(1500);
  wrapper.kill("SIGKILL");
  process.kill(pid, "SIGKILL");
  expect(await sandbox().resultOf(jobId)).toMatchObject({ signal: "SIGKILL", ending: "exited" });
});

test("a job of run that ends under its own wrapper is recorded by it, and once", async () => {
  await startWatch(sandbox(), "no-such-program");
  for (let round = 0; round < 5; round++) {
    const { code } = await sandbox().run(["run", "--job-id", `own-${round}`, "--", "sh", "-c", "exit 9"]);
    expect(code).toBe(9);
  }
  const ended = await sandbox().json(["history"]);
  expect(ended).toHaveLength(5);
  for (const result of ended) expect(result).toMatchObject({ exit_code: 9, exit_evidence: "parent" });
});

test("a process that was detached is not governed again by the next scan", async () => {
  const { name, path } = sandbox().program("sleep");
  const log = await startWatch(sandbox(), name, "--events", "polling", "--scan-interval", "100ms");
  const { pid } = sandbox().spawn([path, "1000"]);
  await until("it is found", () => log.text().includes(`auto-${name}-${pid}`));
  await sandbox().pidOf(`auto-${name}-${pid}`);
  expect((await sandbox().run(["detach", `auto-${name}-${pid}`])).code).toBe(0);

  // A process that starts later and is governed shows that a scan has run since.
  const other = sandbox().spawn([path, "1000"]);
  await until("the other is found", () => log.text().includes(`auto-${name}-${other.pid}`));
  log.daemon.kill("SIGTERM");
  await log.daemon.exited;
  const next = await startWatch(sandbox(), name, "--once");
  expect(await next.daemon.exited).toBe(0);
  expect(next.text()).not.toContain("Attaching to");
  const governed = await sandbox().json(["ps"]);
  expect(governed).toMatchObject([{ pid: other.pid }]);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(readFileSync("/proc/self/cgroup", "utf8"));
});

test("a second watch on the same state directory is refused, until the first has ended", async () => {
  const { daemon } = await startWatch(sandbox(), "no-such-program");
  const errors = sandbox().path("err");
  const second = sandbox().start(["watch", "--target", "no-such-program"], { stderr: openSync(errors, "w") });
  expect(await endOf(second)).toBe(2);
  expect(readFileSync(errors, "utf8")).toContain("another ffrtmp watch uses");
  daemon.kill("SIGKILL");
  await daemon.exited;
  expect((await sandbox().run(["watch", "--once", "--target", "no-such-program"])).code).toBe(0);
});

limitsTest("--once governs what it finds and returns; the limits stay", async () => {
  const { name, path } = sandbox().program("sleep");
  const { pid } = sandbox().spawn([path, "1000"]);
  await until("it runs", () => readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(path));
  const { code } = await sandbox().run(["watch", "--once", "--target", name, "--cpu-quota", "50"]);
  expect(code).toBe(0);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toContain(`auto-${name}-${pid}`);
  expect(await sandbox().json(["ps"])).toMatchObject([{ pid, observer_pid: null }]);
});

test("--dry-run names what would be governed and touches nothing", async () => {
  const { name, path } = sandbox().program("sleep");
  const { pid } = sandbox().spawn([path, "1000"]);
  await until("it runs", () => readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(path));
  const before = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const output = sandbox().path("out");
  const args = ["watch", "--dry-run", "--target", name, "--cpu-quota", "50"];
  expect(await endOf(sandbox().start(args, { stdout: openSync(output, "w") }))).toBe(0);
  expect(parseDryRun(readFileSync(output, "utf8")).decision).toBe(
    `would govern PID ${pid} (${name}) with cpu.max 50000 100000`,
  );
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(before);
  expect(await sandbox().json(["ps"])).toEqual([]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  limitsTest(`${signal} stops the daemon, and its jobs keep running under their limits`, async () => {
    const { name, path } = sandbox().program("sleep");
    const log = await startWatch(sandbox(), name, "--cpu-quota", "50");
    const { pid } = sandbox().spawn([path, "1000"]);
    await until("it is found", () => log.text().includes(`auto-${name}-${pid}`));
    const inside = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    log.daemon.kill(signal);
    expect(await log.daemon.exited).toBe(0);
    expect(isRunning(pid)).toBe(true);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(inside);
    expect(await sandbox().json(["ps"])).toMatchObject([{ pid, observer_pid: null }]);
  });
}

test("a reused pid is not taken for the job that had it", async () => {
  const { name, path } = sandbox().program("sleep");
  const first = await startWatch(sandbox(), name);
  const { pid } = sandbox().spawn([path, "1000"]);
  const jobId = `auto-${name}-${pid}`;
  await until("it is found", () => first.text().includes(jobId));
  await sandbox().pidOf(jobId);
  first.daemon.kill("SIGKILL");
  await first.daemon.exited;
  process.kill(pid, "SIGKILL");
  await until("it has ended", () => !isRunning(pid));
  // The same PID with another start time, as after a reuse. Changing the record saves waiting for a real reuse.
  const stranger = sandbox().spawn(["sleep", "1000"]);
  sandbox().sql("UPDATE jobs SET pid = ?", stranger.pid);
  const before = readFileSync(`/proc/${stranger.pid}/cgroup`, "utf8");
  const second = await startWatch(sandbox(), name);
  expect(await sandbox().resultOf(jobId)).toMatchObject({ ending: "unobserved", exit_code: null });
  expect(second.text()).not.toContain("Taking over");
  expect(readFileSync(`/proc/${stranger.pid}/cgroup`, "utf8")).toBe(before);
});

/** Returns the exit code of a daemon that must end by itself. */
async function endOf(daemon: Bun.Subprocess): Promise<number | null> {
  await until("it ends by itself", () => daemon.exitCode !== null);
  return daemon.exitCode;
}

interface WatchLog {
  daemon: Bun.Subprocess;
  text(): string;
}

/** Starts a daemon and returns when it watches. */
async function startWatch(box: Sandbox, target: string, ...flags: string[]): Promise<WatchLog> {
  const path = box.path(`watch-${Bun.randomUUIDv7()}.log`);
  const args = ["watch", "--target", target, ...flags];
  const daemon = box.start(args, { stdout: "ignore", stderr: openSync(path, "w") });
  const text = (): string => readFileSync(path, "utf8");
  await until("it watches", () => {
    if (daemon.exitCode) throw new Error(text());
    return text().includes("Watching for");
  });
  return { daemon, text };
}
