import { expect, test } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import {
  isRunning,
  lacksLimits,
  readProc,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

for (const named of ["--pid", "--job"] as const) {
  limitsTest(
    `attach ${named} takes over a job whose run was killed, with its id, limits and end`,
    async () => {
      const gate = sandbox().path("gate");
      const script = `while [ ! -e ${gate} ]; do sleep 0.02; done; exit 3`;
      const { pid } = await orphan("left", ["--cpu-quota", "50"], ["sh", "-c", script]);
      const file = `${await sandbox().cgroupOf("left", "cpu")}/cpu.cfs_quota_us`;
      writeFileSync(file, "80000");
      const { observer, output } = await takeOver(sandbox(), "left", [
        named,
        named === "--pid" ? `${pid}` : "left",
      ]);
      expect(readFileSync(file, "utf8")).toBe("50000\n");
      expect(await sandbox().json(["ps"])).toMatchObject([
        { job_id: "left", mode: "run", pid, observer_pid: observer.pid },
      ]);
      writeFileSync(gate, "");
      expect(await observer.exited).toBe(0);
      const stderr = readFileSync(output, "utf8");
      expect(stderr).toContain(
        "job left: cpu.max was 80000 100000 instead of 50000 100000: it is applied again\n",
      );
      expect(stderr).toMatch(
        new RegExp(
          `^JOB left \\| outcome=failed \\| sla=COMPLIANT \\| reason=ended_with_error .*\\| exit=3 \\| pid=${pid}`,
          "m",
        ),
      );
      expect((await sandbox().resultOf("left")).exit_code).toBe(3);
      expect(sandbox().cgroups()).toEqual([]);
    },
  );
}

test("one of several takers at once observes the job, and the others name it", async () => {
  await orphan("wanted", [], ["sleep", "600"]);
  const takers = Array.from({ length: 4 }, () =>
    sandbox().start(["attach", "--job", "wanted"], { stdout: "ignore" }),
  );
  await until(
    "all but one have given up",
    () => takers.filter(({ exitCode }) => exitCode !== null).length === 3,
  );
  const [winner] = takers.filter(({ exitCode }) => exitCode === null);
  for (const taker of takers.filter((each) => each !== winner)) {
    expect(taker.exitCode).toBe(2);
    expect(await new Response(taker.stderr as ReadableStream).text()).toContain(
      `as job wanted, observed by PID ${winner?.pid}`,
    );
  }
  expect(await sandbox().json(["ps"])).toMatchObject([{ observer_pid: winner?.pid as number }]);
});

test("a job with an observer is not taken over, and the observer is named", async () => {
  const { pid, wrapper } = await sandbox().startJob("kept", [], ["sleep", "600"]);
  for (const args of [
    ["attach", "--pid", String(pid)],
    ["attach", "--job", "kept"],
    ["attach", "--job", String(pid)],
  ]) {
    const { code, stderr } = await sandbox().run(args);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toBe(
      `ffrtmp: cannot govern process ${pid} (sleep): it is governed already, as job kept, observed by PID ${wrapper.pid}\n  try: ffrtmp inspect kept\n`,
    );
  }
});

test("a job of the daemon is not taken over, and the daemon is named", async () => {
  const target = sandbox().program("sleep");
  const daemon = sandbox().start(["watch", "--target", target.name, "--scan-interval", "100ms"], {
    stderr: "ignore",
  });
  const { pid } = sandbox().spawn([target.path, "600"]);
  const jobId = `auto-${target.name}-${pid}`;
  await sandbox().pidOf(jobId);
  const { code, stderr } = await sandbox().run(["attach", "--job", jobId]);
  expect(code).toBe(2);
  expect(stderr).toContain(`as job ${jobId}, observed by ffrtmp watch, PID ${daemon.pid}`);
});

limitsTest("the options of the first start are accepted again, and others are refused", async () => {
  const { pid } = await orphan("same", ["--cpu-quota", "50", "--intent", "vod"], ["sleep", "600"]);
  for (const [different, option] of [
    [["--cpu-quota", "60"], "cpu.max"],
    [["--pids-max", "9"], "pids.max"],
    [["--job-id", "other"], "--job-id"],
    [["--intent", "other"], "--intent"],
    [["--sla-eligible"], "--sla-eligible"],
  ] as const) {
    const { code, stderr } = await sandbox().run(["attach", "--pid", `${pid}`, ...different]);
    expect({ option, code }).toEqual({ option, code: 2 });
    expect(stderr).toContain(`it has another ${option}\n  try: ffrtmp attach --job same, and for limits: `);
  }
  const same = ["--job-id", "same", "--cpu-quota", "50%", "--intent", "vod"];
  await takeOver(sandbox(), "same", ["--pid", `${pid}`, ...same]);
});

test("Ctrl-C on a taken job leaves it for the next attach, and says how to follow and to stop it", async () => {
  const { pid } = await orphan("again", [], ["sleep", "600"]);
  for (let round = 0; round < 2; round++) {
    const { observer, output } = await takeOver(sandbox(), "again", ["--job", "again"]);
    observer.kill("SIGINT");
    expect(await observer.exited).toBe(130);
    expect(readFileSync(output, "utf8")).toEndWith(
      `ffrtmp: SIGINT: stopped waiting; job again keeps running under its limits (PID ${pid})\n` +
        `  follow it: ffrtmp attach --job again\n  stop it:   kill -- -${pid}\n`,
    );
    expect(isRunning(pid)).toBe(true);
  }
});

test("run has its workload in a process group of its own, and a signal to run names it", async () => {
  const output = sandbox().path("stderr");
  const { wrapper, pid } = await sandbox().startJob("grouped", [], ["sh", "-c", "sleep 601 & wait"], {
    stderr: openSync(output, "w"),
  });
  wrapper.kill("SIGTERM");
  expect(await wrapper.exited).toBe(143);
  expect(readFileSync(output, "utf8")).toContain(`\n  stop it:   kill -- -${pid}\n`);
  const child = await childOf(pid);
  sandbox().adopt(child);
  process.kill(-pid, "SIGKILL");
  await until("the whole group has ended", () => !isRunning(pid) && !isRunning(child));
});

test("run with the id of an orphan says that attach --job waits for it", async () => {
  await orphan("taken", [], ["sleep", "600"]);
  const { code, stderr } = await sandbox().run(["run", "--job-id", "taken", "--", "true"]);
  expect(code).toBe(125);
  expect(stderr).toContain("try: ffrtmp attach --job taken waits for that job, whose observer is gone");
});

test("a job that has ended cannot be taken over", async () => {
  const { pid } = await orphan("over", [], ["sleep", "600"]);
  process.kill(pid, "SIGKILL");
  await until("it has ended", () => !isRunning(pid));
  const { code, stderr } = await sandbox().run(["attach", "--job", "over"]);
  expect(code).toBe(2);
  expect(stderr).toContain("job over has already ended");
  const byPid = await sandbox().run(["attach", "--pid", `${pid}`]);
  // A zombie that its parent has not collected still has its entry in /proc.
  expect(byPid.stderr).toMatch(new RegExp(`process ${pid} .*(does not exist|has ended)`));
});

/** Starts a job, and kills the ffrtmp that waits for it. */
async function orphan(jobId: string, flags: string[], command: string[]): Promise<{ pid: number }> {
  const { wrapper, pid } = await sandbox().startJob(jobId, flags, command);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  return { pid };
}

/** Starts an attach, and returns when it observes the job. Its messages go to a file. */
async function takeOver(
  box: Sandbox,
  jobId: string,
  args: string[],
): Promise<{ observer: Bun.Subprocess; output: string }> {
  const output = box.path("taken.err");
  const observer = box.start(["attach", ...args], { stdout: "ignore", stderr: openSync(output, "w") });
  await until(`${jobId} has its new observer`, async () => {
    if (observer.exitCode !== null) throw new Error(readFileSync(output, "utf8"));
    const { observer_pid } = await box.json(["inspect", jobId]);
    return observer_pid === observer.pid && readFileSync(output, "utf8").includes("observes it from now on");
  });
  return { observer, output };
}

async function childOf(pid: number): Promise<number> {
  const children = () => readProc(pid, `task/${pid}/children`).trim();
  await until("the workload has a child", () => children() !== "");
  return Number(children());
}
