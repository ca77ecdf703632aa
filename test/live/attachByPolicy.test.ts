import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { PolicyBox } from "../support/policyBox.ts";
import { isRunning, lacksLimits, type Sandbox, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

limitsTest(
  "a process that was detached by hand is given back to the policy, under the policy's limits",
  async () => {
    const { policy, pid, jobId } = await startGoverned(sandbox());
    const detached = await sandbox().run(["detach", `${pid}`]);
    expect(detached.stdout).toEndWith(
      `\nffrtmp watch leaves it alone from now on. To undo that: ffrtmp attach --policy --pid ${pid}\n`,
    );
    const explain = ["policy", "explain", "--pid", `${pid}`, "--watch-config", policy.file];
    expect((await sandbox().json(explain)).because).toBe(
      `it was detached by hand, and is left alone until: ffrtmp attach --policy --pid ${pid}`,
    );
    const { code, stdout } = await sandbox().run(["attach", "--policy", "--pid", `${pid}`]);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: `process ${pid} is governed by the policy again, as job ${jobId}\n`,
    });
    expect(await sandbox().json(["inspect", jobId])).toMatchObject({
      mode: "watch",
      state: "running",
      limits: [{ limit: "pids.max", outcome: "applied", actual: "40" }],
    });
  },
);

limitsTest(
  "a second detach is remembered again, and a policy that does not want the process is named",
  async () => {
    const { policy, pid } = await startGoverned(sandbox());
    await sandbox().run(["detach", `${pid}`]);
    expect(await sandbox().json(["attach", "--policy", "--pid", `${pid}`])).toMatchObject({
      was_detached: true,
    });
    await sandbox().run(["detach", `${pid}`]);
    policy.write("rules:\n  - {name: none, match: {command: no-such-command}, limits: {pids_max: 40}}\n");
    await until("the policy is replaced", () => policy.log().split("Policy loaded").length > 1);
    const { stdout } = await sandbox().run(["attach", "--policy", "--pid", `${pid}`]);
    expect(stdout).toMatch(
      /is the policy's again, and ffrtmp watch \(PID \d+\) does not govern it. To see how/,
    );
    expect(isRunning(pid)).toBe(true);
  },
);

limitsTest("without a daemon, the next one governs a process that was given back", async () => {
  const { policy, pid, jobId, daemon } = await startGoverned(sandbox());
  await sandbox().run(["detach", `${pid}`]);
  daemon.kill("SIGTERM");
  await daemon.exited;
  const { code, stdout } = await sandbox().run(["attach", "--policy", "--pid", `${pid}`]);
  expect(code).toBe(0);
  expect(stdout).toContain(`No ffrtmp watch uses ${sandbox().state}: the next one decides`);
  await policy.start();
  await until("the process is governed", async () =>
    (await sandbox().json(["ps"])).some(
      (job: { job_id: string; state: string }) => job.job_id === jobId && job.state === "running",
    ),
  );
});

test("attach --policy refuses what is governed or gone, and options that a policy decides", async () => {
  const { pid } = await sandbox().startJob("mine", [], ["sleep", "600"]);
  const free = sandbox().spawn(["sleep", "600"]);
  for (const [args, message] of [
    [["--pid", `${pid}`], `governed already`],
    [["--pid", `${pid}`], `try: ffrtmp detach ${pid}, and then the same again`],
    [["--pid", "4194304"], "process 4194304 does not exist"],
    [["--pid", `${free.pid}`, "--cpu-quota", "50"], "--policy gives a process back to the policy"],
    [["--job", "mine"], "--policy needs a process"],
    [[], "--policy needs a process"],
  ] as const) {
    const { code, stderr } = await sandbox().run(["attach", "--policy", ...args]);
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stderr).toContain(message);
  }
  const { stdout } = await sandbox().run(["attach", "--policy", "--pid", `${free.pid}`]);
  expect(stdout).toContain(`process ${free.pid} was not detached: the policy decides about it anyway.`);
  expect(existsSync(`/proc/${free.pid}`)).toBe(true);
});

async function startGoverned(box: Sandbox) {
  const policy = new PolicyBox(box);
  const shell = policy.shell("worker");
  policy.write(`rules:\n  - {name: all, match: {command: worker-${box.tag}}, limits: {pids_max: 40}}\n`);
  const daemon = await policy.start();
  // A shell without a child, which would outlive the test when it is detached.
  const pid = await policy.run(shell, {}, `mkfifo ${box.path("fifo")}; read line <${box.path("fifo")}`);
  const jobId = `auto-worker-${box.tag}-${pid}`;
  expect(await box.pidOf(jobId)).toBe(pid);
  return { policy, daemon, pid, jobId };
}
