import { expect, test } from "bun:test";
import { handlesSignals } from "../support/processes.ts";
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

for (const [script, outcome, reason, exit] of [
  ["exit 0", "succeeded", "completed_successfully", "0"],
  ["exit 1", "failed", "ended_with_error", "1"],
  ["kill -9 $$", "killed", "ended_by_signal", "SIGKILL"],
] as const) {
  test(`a job of \`${script}\` has the outcome ${outcome}, before the verdict about the platform`, async () => {
    const { stderr } = await sandbox().run(["run", "--job-id", "x", "--", "sh", "-c", script]);
    expect(stderr).toMatch(
      new RegExp(
        `^JOB x \\| outcome=${outcome} \\| sla=COMPLIANT \\| reason=${reason} \\| runtime=\\S+ \\| exit=${exit} \\| pid=\\d+\n$`,
      ),
    );
    const again = await sandbox().run(["run", "--job-id", "y", "--json", "--", "sh", "-c", script]);
    expect(JSON.parse(again.stderr)).toMatchObject({ outcome, platform_sla_compliant: true });
    const { stdout: history } = await sandbox().run(["history", "x"]);
    expect(history).toMatch(/^OUTCOME +ENDED +JOB /);
    expect(history).toMatch(new RegExp(`^${outcome} `, "m"));
    const { stdout: inspected } = await sandbox().run(["inspect", "x"]);
    expect(inspected).toMatch(new RegExp(`^outcome +${outcome}$`, "m"));
    expect((await sandbox().json(["inspect", "x"])).result).toMatchObject({ outcome });
  });
}

test("an end that no ffrtmp observed is unknown, and a bound in every output", async () => {
  const { wrapper, pid } = await sandbox().startJob("unseen", [], ["sleep", "1"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  await until("the workload has ended", () => !isRunning(pid));
  // This history records the end.
  const { stdout: relative } = await sandbox().run(["history", "--time", "relative"]);
  expect(relative).toMatch(/^unknown +≥ \d+ (s|min) ago +unseen +unknown +≤ [\d.]+s /m);
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({
    outcome: "unknown",
    end_time: null,
    runtime_seconds: null,
    runtime_at_least_seconds: null,
    processing_seconds: null,
    exit_code: null,
    platform_sla_compliant: false,
    platform_sla_reason: "ended_unobserved",
  });
  const day = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;
  const { stdout: history } = await sandbox().run(["history"]);
  expect(history).toMatch(
    new RegExp(String.raw`^unknown +≤ ${day}[+-]\d\d:\d\d +unseen +unknown +≤ [\d.]+s +violation`, "m"),
  );
  const { stdout: inspected } = await sandbox().run(["inspect", "unseen"]);
  expect(inspected).toMatch(/^ended +between .+, when it was last seen, and .+, unobserved$/m);
  expect(inspected).toMatch(/^runtime +≤ [\d.]+s$/m);
  expect(inspected).toMatch(/^exit +unknown, it ended while no ffrtmp observed it$/m);
});

limitsTest("a job that was detached ran at least until then", async () => {
  const { jobId } = await sandbox().startJob("loose", ["--cpu-quota", "50"], ["sleep", "600"]);
  expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({
    outcome: "unknown",
    runtime_seconds: null,
    runtime_at_most_seconds: null,
    runtime_at_least_seconds: expect.any(Number),
  });
  const { stdout: history } = await sandbox().run(["history"]);
  expect(history).toMatch(/^unknown .* loose +- +≥ [\d.]+s +compliant +detached /m);
  expect((await sandbox().run(["inspect", jobId])).stdout).toMatch(/^runtime +≥ [\d.]+s/m);
});

test("watch --once is the choice that no ffrtmp observes the ends: they are unknown, and no violation", async () => {
  const pid = await startSleeper(sandbox());
  const { name } = sandbox().program("sleep");
  const once = await sandbox().run(["watch", "--once", "--target", name]);
  expect(once.code).toBe(0);
  expect(once.stderr).toContain(
    "--once: stopping; jobs keep running under their limits, and this watch does not observe",
  );
  const jobId = `auto-${name}-${pid}`;
  const { events, observer_pid } = await sandbox().json(["inspect", jobId]);
  expect(observer_pid).toBeNull();
  expect(events).toMatchObject([{ kind: "observer_left", detail: { by_choice: true } }]);
  const { stdout } = await sandbox().run(["inspect", jobId]);
  expect(stdout).toMatch(/^event +\S+ \S+ observer_left (?:signal=\S+ )?by_choice=true$/m);
  await endOf(pid);
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({
    job_id: jobId,
    ending: "unobserved",
    outcome: "unknown",
    exit_code: null,
    end_time: null,
    sla_eligible: true,
    platform_sla_compliant: true,
    platform_sla_reason: "unobserved_by_choice",
  });
  const { overall } = await sandbox().json(["history", "--sla"]);
  expect(overall).toMatchObject({ eligible: 1, violations: 0, rate_percent: 100 });
});

for (const [signal, byChoice] of [
  ["SIGINT", true],
  ["SIGTERM", false],
] as const) {
  test(`an end after ${signal} to attach is ${byChoice ? "no " : "a "}violation`, async () => {
    const pid = await startSleeper(sandbox());
    const observer = sandbox().start(["attach", "--pid", String(pid), "--job-id", "left"]);
    await until("it is governed", async () => (await sandbox().json(["ps"]))[0]?.state === "running");
    await until("attach listens", () => handlesSignals(observer.pid, "SIGINT", "SIGTERM"));
    observer.kill(signal);
    expect(await observer.exited).toBe(signal === "SIGINT" ? 130 : 143);
    await endOf(pid);
    const [result] = await sandbox().json(["history"]);
    expect(result).toMatchObject({
      ending: "unobserved",
      outcome: "unknown",
      platform_sla_compliant: byChoice,
      platform_sla_reason: byChoice ? "unobserved_by_choice" : "ended_unobserved",
    });
  });
}

test("a daemon that takes such a job over and is killed owes its end again", async () => {
  const pid = await startSleeper(sandbox());
  const { name } = sandbox().program("sleep");
  await sandbox().run(["watch", "--once", "--target", name]);
  const daemon = sandbox().start(["watch", "--target", name]);
  await until("the daemon observes the job", async () => {
    const [job] = await sandbox().json(["ps"]);
    return job?.observer_pid === daemon.pid;
  });
  daemon.kill("SIGKILL");
  await daemon.exited;
  await endOf(pid);
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({ ending: "unobserved", platform_sla_reason: "ended_unobserved" });
});

/** Starts a process that only this sandbox's `watch` finds. */
async function startSleeper(box: Sandbox): Promise<number> {
  const { path } = box.program("sleep");
  const { pid } = box.spawn([path, "600"]);
  await until("it runs", () => readProc(pid, "cmdline").startsWith(path));
  return pid;
}

async function endOf(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until("the workload has ended", () => !isRunning(pid));
}
