import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const straceTest = testIf(lacksCommand("strace") ?? lacksTracing());

const SIGNALLING = [
  ...["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
  ...["ptrace", "process_vm_readv", "process_vm_writev"],
];

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
  return lines.filter((line) => isForbidden(line, Number(lines[0]?.split(" ")[0])));
}

/** The position of the signal in the arguments of each call. */
const SIGNAL_POSITIONS: Record<string, number> = {
  kill: 1,
  tkill: 1,
  tgkill: 2,
  rt_sigqueueinfo: 1,
  rt_tgsigqueueinfo: 2,
  pidfd_send_signal: 1,
};
/** PID_MAX_LIMIT: no kernel gives a process this pid or a higher one. */
const HIGHEST_PID = 2 ** 22;

// 4711  tgkill(4711, 4713, SIGRT_6) = 0
// 4711  kill(4026, 0)               = 0
// 4711  ptrace(PTRACE_ATTACH, 1073741824) = -1 EPERM (Operation not permitted)
function isForbidden(line: string, ffrtmp: number): boolean {
  const match = /^\d+\s+(\w+)\(([^)]*)/.exec(line);
  if (!match || !SIGNALLING.includes(match[1] as string)) return false;
  const call = match[1] as string;
  const words = (match[2] as string).split(", ");
  const target = Number(words[call === "ptrace" ? 1 : 0]);
  if (target > HIGHEST_PID || (call === "pidfd_send_signal" && target === -1)) return false;
  const position = SIGNAL_POSITIONS[call];
  if (position !== undefined && words[position] === "0") return false;
  // Bun suspends its own threads with it.
  return !(call === "tgkill" && target === ffrtmp);
}

function lacksTracing(): string | undefined {
  const { exitCode } = Bun.spawnSync(["strace", "-o", "/dev/null", "true"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return exitCode === 0 ? undefined : "strace may not trace here";
}
