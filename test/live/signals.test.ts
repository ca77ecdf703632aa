import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import {
  FFRTMP,
  isRunning,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { isForbidden, lacksTracing, SIGNALLING } from "../support/strace.ts";

const sandbox = useSandbox();
const straceTest = testIf(lacksTracing());

straceTest("run sends its workload no signal, from its start to its end", async () => {
  const traced = trace(sandbox(), ["run", "--job-id", "whole", "--cpu-quota", "50", "--", "sleep", "0.3"]);
  expect(await traced.exited).toBe(0);
  expect(forbiddenCalls(sandbox())).toEqual([]);
});

straceTest("run sends its workload no signal when a signal ends run itself", async () => {
  const traced = trace(sandbox(), ["run", "--job-id", "left", "--", "sleep", "1000"]);
  const pid = await sandbox().pidOf("left");
  sandbox().adopt(pid);
  const [{ observer_pid: wrapper }] = await sandbox().json(["ps"]);
  process.kill(wrapper, "SIGTERM");
  // strace waits for every process that it traces, also for the workload.
  await until("the wrapper has ended", () => !isRunning(wrapper));
  expect(isRunning(pid)).toBe(true);
  process.kill(pid, "SIGKILL");
  await traced.exited;
  expect(forbiddenCalls(sandbox())).toEqual([]);
});

straceTest("attach sends no signal while it governs, observes and reports the end", async () => {
  const workload = sandbox().spawn(["sh", "-c", "sleep 1000; exit 3"]);
  const flags = ["--cpu-quota", "50", "--memory-limit", "300", "--nice", "5"];
  const traced = trace(sandbox(), ["attach", "--pid", String(workload.pid), "--job-id", "seen", ...flags]);
  await sandbox().pidOf("seen");
  await until(
    "the process is governed",
    async () => (await sandbox().json(["inspect", "seen"])).state === "running",
  );
  workload.kill("SIGKILL");
  expect(await traced.exited).toBe(0);
  expect(forbiddenCalls(sandbox())).toEqual([]);
});

straceTest("detach sends no signal", async () => {
  await sandbox().startJob("released", ["--cpu-quota", "50", "--nice", "5"], ["sleep", "1000"]);
  const traced = trace(sandbox(), ["detach", "released"]);
  expect(await traced.exited).toBe(0);
  expect(forbiddenCalls(sandbox())).toEqual([]);
});

straceTest(
  "watch sends no signal, from finding a workload to recording its end and when it stops",
  async () => {
    const target = sandbox().program("sleep");
    const traced = trace(sandbox(), [
      "watch",
      "--target",
      target.name,
      "--pids-max",
      "50",
      "--scan-interval",
      "100ms",
    ]);
    const workload = sandbox().spawn([target.path, "1000"]);
    const jobId = `auto-${target.name}-${workload.pid}`;
    await sandbox().pidOf(jobId);
    workload.kill("SIGKILL");
    await sandbox().resultOf(jobId);

    const second = sandbox().spawn([target.path, "1000"]);
    const secondId = `auto-${target.name}-${second.pid}`;
    const observer = async (): Promise<number | null> => {
      const { code, stdout } = await sandbox().run(["inspect", secondId, "--json"]);
      return code === 0 ? JSON.parse(stdout).observer_pid : null;
    };
    await until("the second workload is observed", async () => (await observer()) !== null);
    if (lacksLimits() === undefined) {
      const file = `${await sandbox().cgroupOf(secondId, "pids")}/pids.max`;
      writeFileSync(file, "max");
      await until("a limit that was changed is restored", () => readFileSync(file, "utf8") === "50\n");
    }
    process.kill((await observer()) as number, "SIGTERM");
    await traced.exited;
    expect(isRunning(second.pid)).toBe(true);
    expect(forbiddenCalls(sandbox())).toEqual([]);
  },
);

straceTest("ps, inspect and history send no signal, even when they recover jobs", async () => {
  const { wrapper } = await sandbox().startJob("orphaned", [], ["sleep", "1000"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  for (const command of [["ps"], ["inspect", "orphaned"], ["history"]]) {
    expect(await trace(sandbox(), command).exited).toBe(0);
    expect(forbiddenCalls(sandbox())).toEqual([]);
  }
});

function trace(box: Sandbox, args: string[]): Bun.Subprocess {
  const output = box.path("strace");
  // The first call is then the execve of ffrtmp itself, which shows its pid.
  const calls = `trace=execve,${SIGNALLING.join()}`;
  return box.spawn(["strace", "-f", "-o", output, "-e", calls, FFRTMP, ...args], {
    stdout: "ignore",
    stderr: "ignore",
  });
}

/**
 * Lists every traced call except those with signal 0, those to a thread of the calling process, and those to
 * a pid that cannot exist: with the last kind ffrtmp verifies that it cannot send signals any more.
 */
function forbiddenCalls(box: Sandbox): string[] {
  const lines = readFileSync(box.path("strace"), "utf8").split("\n").filter(Boolean);
  expect(lines[0]).toMatch(/^\d+ +execve\("[^"]*ffrtmp/);
  return lines.filter((line) => isForbidden(line, (pid) => pid === Number(lines[0]?.split(" ")[0])));
}
