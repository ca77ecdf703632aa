import { expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { realHost } from "../../src/linux/host.ts";
import { listThreads, listTree } from "../../src/linux/proc/table.ts";
import { getIoprio } from "../../src/sys/ioprio.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  readProc,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const rootTest = testIf(lacksRoot());
const userTest = testIf(lacksRoot() ?? lacksCommand("setpriv"));

const LIMITS = ["--cpu-quota", "50", "--memory-limit", "300", "--memory-max", "400M", "--pids-max", "200"];
const ATTRIBUTES = ["--nice", "5", "--ionice", "idle", "--oom-score-adj", "500"];

limitsTest("detach moves every process and thread back to its earlier cgroups, byte for byte", async () => {
  const pid = await startThreadedTree();
  const before = snapshot(pid);
  await attachAndStop("whole", pid, [...LIMITS, ...ATTRIBUTES]);
  const governed = snapshot(pid);
  expect(Object.keys(governed).length).toBeGreaterThan(2);
  for (const thread of Object.values(governed)) expect(thread.cgroup).toContain("-whole");

  const { code, stdout } = await sandbox().run(["detach", "whole"]);
  expect(code).toBe(0);
  expect(stdout).toContain(`PID ${pid} keeps running`);
  expect(onlyKnown(snapshot(pid), before)).toEqual(before);
  expect(sandbox().cgroups()).toEqual([]);
  expect(isRunning(pid)).toBe(true);
});

limitsTest("the result of a detached job has what the job used while it was governed", async () => {
  const box = sandbox();
  const { pid } = box.spawn(["sh", "-c", "while :; do :; done"]);
  await attachAndStop("used", pid, ["--cpu-quota", "50"]);
  await until("it has used CPU time", async () => {
    const { usage } = await box.json(["inspect", "used"]);
    return usage.cpu_user_seconds + usage.cpu_system_seconds > 0.2;
  });
  expect((await box.run(["detach", "used"])).code).toBe(0);
  const [{ usage, ending }] = await box.json(["history"]);
  expect(ending).toBe("detached");
  expect(usage.cpu_user_seconds + usage.cpu_system_seconds).toBeGreaterThan(0.2);
});

rootTest("nice, ionice and oom_score_adj of every thread are changed by attach", async () => {
  const pid = await startThreadedTree();
  const before = snapshot(pid);
  await attachAndStop("touched", pid, ATTRIBUTES);
  const { limits } = await sandbox().json(["inspect", "touched"]);
  expect(limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(Array(3).fill("applied"));
  for (const [tid, { nice, ioprio, oomScoreAdj }] of Object.entries(onlyKnown(snapshot(pid), before))) {
    const idle = 3 << 13;
    expect({ tid, nice, ioprio, oomScoreAdj }).toEqual({ tid, nice: "5", ioprio: idle, oomScoreAdj: "500" });
  }
});

test("nice, ionice and oom_score_adj of every thread are restored by detach", async () => {
  const pid = await startThreadedTree();
  const before = snapshot(pid);
  await attachAndStop("touched", pid, ATTRIBUTES);
  expect((await sandbox().run(["detach", "touched"])).code).toBe(0);
  expect(onlyKnown(snapshot(pid), before)).toEqual(before);
});

userTest("an unprivileged user's attach refuses to set a value that detach could not restore", async () => {
  const box = sandbox();
  chmodSync(box.directory, 0o755);
  const state = box.path("user-state");
  mkdirSync(state);
  chownSync(state, 65534, 65534);
  const asUser = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const options = { env: { FFRTMP_STATE: state } };
  const { pid } = box.spawn([...asUser, "sleep", "1000"]);
  await until("the process sleeps", () => readProc(pid, "comm") === "sleep\n");
  const before = snapshot(pid);
  const flags = ["--pid", `${pid}`, "--job-id", "users", "--nice", "10", "--oom-score-adj", "500"];
  const output = box.path("output");
  const observer = box.spawn([...asUser, FFRTMP, "attach", ...flags], {
    ...options,
    stderr: openSync(output, "w"),
  });
  await until("the process is governed", () =>
    readFileSync(output, "utf8").includes(`governing PID ${pid} `),
  );
  // Root uses no state of another user.
  const inspected = box.spawn([...asUser, FFRTMP, "inspect", "users", "--json"], options);
  const { limits } = JSON.parse(await new Response(inspected.stdout as ReadableStream).text());
  expect(limits).toMatchObject([
    { limit: "nice", outcome: "refused", because: expect.stringContaining("needs root, so it is not done") },
    { limit: "oom_score_adj", outcome: "applied" },
  ]);
  expect(snapshot(pid)[pid]?.nice).toBe(before[pid]?.nice as string);
  expect(readProc(pid, "oom_score_adj")).toBe("500\n");

  observer.kill("SIGINT");
  await observer.exited;
  const ended = box.spawn([...asUser, FFRTMP, "detach", "users"], options);
  expect(await ended.exited).toBe(0);
  expect(snapshot(pid)).toEqual(before);
});

test("detach leaves a value that another program has changed since", async () => {
  const { pid } = sandbox().spawn(["sleep", "1000"]);
  await attachAndStop("mine", pid, ["--oom-score-adj", "500"]);
  writeFileSync(`/proc/${pid}/oom_score_adj`, "700");
  expect((await sandbox().run(["detach", "mine"])).code).toBe(0);
  expect(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim()).toBe("700");
});

limitsTest(
  "detach of a job of ffrtmp run records it as detached, without an exit code, while it runs",
  async () => {
    const { pid, wrapper } = await sandbox().startJob("started", LIMITS, ["sleep", "1000"]);
    expect((await sandbox().run(["detach", "started"])).code).toBe(0);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(readFileSync("/proc/self/cgroup", "utf8"));
    expect(sandbox().cgroups()).toEqual([]);
    process.kill(pid, "SIGKILL");
    // The caller of run still gets the exit code of the command.
    expect(await wrapper.exited).toBe(137);
    const ended = await sandbox().json(["history"]);
    expect(ended).toMatchObject([{ job_id: "started", ending: "detached", exit_code: null, signal: null }]);
  },
);

limitsTest(
  "children that are forked while detach moves the process end up outside the job's cgroups",
  async () => {
    const forker =
      "for (1..300) { unless (fork) { sleep 1000; exit } select undef, undef, undef, 0.0005 } sleep 1000";
    const { pid } = sandbox().spawn(["perl", "-e", forker]);
    await attachAndStop("forking", pid, ["--cpu-quota", "200"]);
    for (const child of treeOf(pid)) sandbox().adopt(child);
    expect((await sandbox().run(["detach", "forking"])).code).toBe(0);
    await until("all children have been forked", () => treeOf(pid).length > 300);
    for (const child of treeOf(pid)) {
      sandbox().adopt(child);
      expect(readFileSync(`/proc/${child}/cgroup`, "utf8")).toBe(readFileSync("/proc/self/cgroup", "utf8"));
    }
    expect(sandbox().cgroups()).toEqual([]);
  },
);

test("detach reports a job that does not exist or has ended", async () => {
  const unknown = await sandbox().run(["detach", "nobody"]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("there is no job nobody");
  await sandbox().run(["run", "--job-id", "over", "--", "true"]);
  const ended = await sandbox().run(["detach", "over"]);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain("has already ended");
});

/** Starts a process with threads and a child. Bun has threads. */
async function startThreadedTree(): Promise<number> {
  const script = `
    const idle = "setInterval(() => {}, 1e6)";
    new Worker(URL.createObjectURL(new Blob([idle])));
    Bun.spawn(["sleep", "1000"]);
    eval(idle);`;
  const { pid } = sandbox().spawn([process.execPath, "-e", script]);
  await until("the process has a child and threads", () => {
    return treeOf(pid).length === 2 && listThreads(realHost(), pid).length > 2;
  });
  for (const member of treeOf(pid)) sandbox().adopt(member);
  return pid;
}

async function attachAndStop(jobId: string, pid: number, flags: string[]): Promise<void> {
  const args = ["attach", "--pid", String(pid), "--job-id", jobId, ...flags];
  const output = sandbox().path(`${jobId}.err`);
  const observer = sandbox().start(args, { stdout: "ignore", stderr: openSync(output, "w") });
  await until(`${jobId} is governed`, async () => {
    if (observer.exitCode !== null) throw new Error(readFileSync(output, "utf8"));
    const { code, stdout } = await sandbox().run(["inspect", jobId, "--json"]);
    return code === 0 && JSON.parse(stdout).state === "running";
  });
  observer.kill("SIGTERM");
  await observer.exited;
}

interface Thread {
  cgroup: string;
  nice: string | undefined;
  ioprio: number;
  oomScoreAdj: string;
}

/** Reads everything that detach has to restore, for each thread. */
function snapshot(root: number): Record<string, Thread> {
  const threads: Record<string, Thread> = {};
  for (const pid of treeOf(root)) {
    for (const tid of listThreads(realHost(), pid)) {
      const directory = `/proc/${pid}/task/${tid}`;
      threads[tid] = {
        cgroup: readFileSync(`${directory}/cgroup`, "utf8"),
        nice: readFileSync(`${directory}/stat`, "utf8").split(") ").at(-1)?.split(" ")[16],
        ioprio: getIoprio(tid),
        oomScoreAdj: readFileSync(`/proc/${pid}/oom_score_adj`, "utf8").trim(),
      };
    }
  }
  return threads;
}

/** Drops the threads that Bun has started or ended meanwhile. */
function onlyKnown(now: Record<string, Thread>, before: Record<string, Thread>): Record<string, Thread> {
  for (const tid of Object.keys(before)) if (!(tid in now)) delete before[tid];
  return Object.fromEntries(Object.entries(now).filter(([tid]) => tid in before));
}

function treeOf(pid: number): number[] {
  return listTree(realHost(), pid);
}
