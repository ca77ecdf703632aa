import { expect, test } from "bun:test";
import { realHost } from "../../src/linux/host.ts";
import { listThreads } from "../../src/linux/proc/table.ts";
import {
  expectMessage,
  expectNothingDone,
  type Misuse,
  runScript,
  testMisuses,
} from "../support/badInput.ts";
import { lacksKernelThreads, startZombie } from "../support/processes.ts";
import { isRunning, lacksCommand, readProc, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const host = realHost();

const NO_PID =
  /'-p, --pid <pid>' argument '.*' is invalid\. It is [^.]+\. Expected: the number of a process, such as 4026/;

/** PID_MAX_LIMIT: no kernel gives a process this pid or a higher one. */
const NOBODY = "4194304";

testMisuses(sandbox, [
  ...["abc", "", "1.5", "1e3", "12 13"].map(
    (pid): Misuse => ({
      name: `attach refuses ${JSON.stringify(pid)} as a pid`,
      args: ["attach", "--pid", pid],
      stderr: [NO_PID],
    }),
  ),
  {
    name: "attach refuses a pid that no process has",
    args: ["attach", "--pid", NOBODY],
    stderr: [new RegExp(`process ${NOBODY} does not exist`), /try: see what runs: ps -e/],
  },
  {
    name: "attach refuses init",
    args: ["attach", "--pid", "1", "--cpu-quota", "50"],
    stderr: [
      /cannot govern process 1 \(.*\): it is init, and a limit on it would apply to the whole machine/,
    ],
  },
  {
    name: "attach refuses a kernel thread",
    args: ["attach", "--pid", "2", "--cpu-quota", "50"],
    stderr: [/cannot govern process 2 \(kthreadd\): it is a kernel thread/, /try: name the workload's PID/],
    unless: lacksKernelThreads(),
  },
]);

test("attach refuses itself", async () => {
  const { code, stdout, stderr } = await runScript(sandbox(), 'exec "$F" attach --pid $$ --cpu-quota 50');
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expectMessage(stderr, [
    /cannot govern process \d+ \(.*\): it is this ffrtmp process/,
    /try: name the workload's PID/,
  ]);
  await expectNothingDone(sandbox());
});

test("attach refuses a process that has ended and was not collected", async () => {
  const { parent, child } = await startZombie((cmd) => sandbox().spawn(cmd), sandbox().path("zombie"));
  const ended = await sandbox().run(["attach", "--pid", String(child)]);
  expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
  expectMessage(ended.stderr, [
    new RegExp(
      `cannot govern process ${child} \\(.*\\): it has ended, and its parent ${parent} has not collected it yet`,
    ),
  ]);
  expect(sandbox().cgroups()).toEqual([]);
  expect(await sandbox().json(["history"])).toEqual([]);
});

test("attach refuses the pid of a thread", async () => {
  const thread = listThreads(host, process.pid).find((tid) => tid !== process.pid);
  if (thread === undefined) throw new Error("the test runner has one thread only");
  const before = readProc(process.pid, "cgroup");
  const ended = await sandbox().run(["attach", "--pid", String(thread), "--cpu-quota", "50"]);
  expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
  expectMessage(ended.stderr, [
    new RegExp(`cannot govern process ${thread} \\(.*\\): it is a thread, not a process`),
    /try: name the process that it belongs to: its Tgid in \/proc/,
  ]);
  expect(readProc(process.pid, "cgroup")).toBe(before);
  await expectNothingDone(sandbox());
});

test("attach refuses a governed process and names its job", async () => {
  const { pid } = await sandbox().startJob("first", [], ["sh", "-c", "sleep 60; true"]);
  const ended = await sandbox().run(["attach", "--pid", String(pid), "--job-id", "second"]);
  expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
  expectMessage(ended.stderr, [
    new RegExp(`cannot govern process ${pid} \\(sh\\): it is governed already, as job first`),
    /try: ffrtmp inspect first/,
  ]);
  expect((await sandbox().json(["ps"])).map((job: { job_id: string }) => job.job_id)).toEqual(["first"]);
});

testIf(lacksCommand("perl"))(
  "what a process puts into its own name does not reach the terminal",
  async () => {
    const disguised = sandbox().spawn(["perl", "-e", '$0 = "a\\e[2J\\nJOB b"; sleep 60']);
    const { pid } = disguised;
    await until("the process has renamed itself", () => readProc(pid, "comm").includes("[2J"));
    sandbox().start(["attach", "--pid", String(pid), "--job-id", "named"], {
      stdout: "ignore",
      stderr: "ignore",
    });
    await sandbox().pidOf("named");
    const { stderr } = await sandbox().run(["attach", "--pid", String(pid)]);
    expectMessage(stderr, [
      /cannot govern process \d+ \(a\\u001b\[2J\\u000aJOB b\): it is governed already, as job named/,
    ]);
    const { stdout } = await sandbox().run(["ps"]);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stdout).not.toContain("\u001b");
  },
);

test("detach of a job whose process has just ended reports that it has ended", async () => {
  const { pid, wrapper } = await sandbox().startJob("short", [], ["sleep", "60"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  process.kill(pid, "SIGKILL");
  await until("the workload has ended", () => !isRunning(pid));
  const ended = await sandbox().run(["detach", "short"]);
  expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
  expectMessage(ended.stderr, [/job short has already ended/]);
  expect((await sandbox().json(["inspect", "short"])).result).toMatchObject({
    ending: "unobserved",
    exit_code: null,
  });
});
