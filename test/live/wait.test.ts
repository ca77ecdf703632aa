import { expect, test } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { isRunning, lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits() ?? lacksCommand("perl"));

/** A command that runs until its file exists, and then exits with a code. */
function untilFile(name: string, code = 0): string[] {
  return ["sh", "-c", `while [ ! -e ${sandbox().path(name)} ]; do sleep 0.02; done; exit ${code}`];
}

function create(name: string): void {
  openSync(sandbox().path(name), "w");
}

/** Starts `ffrtmp wait` and returns when it waits for a process. */
async function startWait(args: string[]): Promise<{ child: Bun.Subprocess; out(): string; err(): string }> {
  const [stdout, stderr] = [sandbox().path("wait.out"), sandbox().path("wait.err")];
  const child = sandbox().start(["wait", ...args], {
    stdout: openSync(stdout, "w"),
    stderr: openSync(stderr, "w"),
  });
  // The filter is the last step of the start.
  await until("ffrtmp waits", () =>
    /^Seccomp:\s+2$/m.test(readFileSync(`/proc/${child.pid}/status`, "utf8")),
  );
  return { child, out: () => readFileSync(stdout, "utf8"), err: () => readFileSync(stderr, "utf8") };
}

test("wait prints the line of each job, and exits with the code of the last one that is named", async () => {
  await sandbox().startJob("one", [], untilFile("go", 3));
  await sandbox().startJob("two", [], untilFile("go", 4));
  const { child, out } = await startWait(["two", "one"]);
  expect(out()).toBe("");
  create("go");
  expect(await child.exited).toBe(3);
  const lines = out().trimEnd().split("\n").sort();
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^JOB one \|.* exit=3 /);
  expect(lines[1]).toMatch(/^JOB two \|.* exit=4 /);
});

test("wait returns at once for a job that has ended, and refuses one that was never recorded", async () => {
  await sandbox().run(["run", "--job-id", "over", "--", "sh", "-c", "exit 5"]);
  const ended = await sandbox().run(["wait", "over"]);
  expect(ended.code).toBe(5);
  expect(ended.stdout).toMatch(/^JOB over \|.* exit=5 .*\n$/);
  const unknown = await sandbox().run(["wait", "over", "never-was"]);
  expect({ code: unknown.code, stdout: unknown.stdout }).toEqual({ code: 2, stdout: "" });
  expect(unknown.stderr).toMatch(/there is no job never-was/);
});

test("wait records the end of a job that no ffrtmp observes, with its evidence", async () => {
  const { wrapper, pid } = await sandbox().startJob("alone", [], ["sleep", "1000"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  const { child, out } = await startWait(["alone"]);
  expect((await sandbox().json(["ps"]))[0]).toMatchObject({ job_id: "alone", observer_pid: null });
  process.kill(pid, "SIGTERM");
  expect(await child.exited).toBe(143);
  expect(out()).toMatch(/^JOB alone \|.* exit=SIGTERM /);
  const { result } = await sandbox().json(["inspect", "alone"]);
  expect(result).toMatchObject({ ending: "exited", signal: "SIGTERM", exit_unknown_because: null });
  expect(result.ended_before).toBeNull();
});

limitsTest("wait leaves the end of a job to the daemon that observes it", async () => {
  const { name, path } = sandbox().program("perl");
  const log = sandbox().path("watch.log");
  sandbox().start(["watch", "--target", name], { stderr: openSync(log, "w") });
  await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
  const { pid } = sandbox().spawn([path, "-e", "$SIG{USR1} = sub { exit 6 }; sleep 1 while 1"]);
  const jobId = `auto-${name}-${pid}`;
  await until("it is governed", () => readFileSync(log, "utf8").includes(`as job ${jobId}`));
  const { child, out } = await startWait([jobId]);
  process.kill(pid, "SIGUSR1");
  expect(await child.exited).toBe(6);
  expect(out()).toMatch(new RegExp(`^JOB ${jobId} \\|.* exit=6 `));
  await until("the daemon has recorded it", () =>
    new RegExp(`^\\S+ JOB ${jobId} `, "m").test(readFileSync(log, "utf8")),
  );
});

test("wait --any ends with the first of the jobs", async () => {
  await sandbox().startJob("slow", [], ["sleep", "1000"]);
  await sandbox().startJob("fast", [], untilFile("go", 7));
  const { child, out } = await startWait(["--any", "fast", "slow"]);
  create("go");
  expect(await child.exited).toBe(7);
  expect(out()).toMatch(/^JOB fast \|.* exit=7 .*\n$/);
});

test("wait --timeout ends with 124 and names the jobs that have not ended", async () => {
  const { pid } = await sandbox().startJob("long", [], ["sleep", "1000"]);
  const { code, stdout, stderr } = await sandbox().run(["wait", "--timeout", "100ms", "long"]);
  expect({ code, stdout }).toEqual({ code: 124, stdout: "" });
  expect(stderr).toMatch(/no longer waiting after 0\.1s; not ended yet: long/);
  expect(isRunning(pid)).toBe(true);
});

test("SIGINT ends only the waiting", async () => {
  const { pid } = await sandbox().startJob("long", [], ["sleep", "1000"]);
  const { child, err } = await startWait(["long"]);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(err()).toBe("ffrtmp: SIGINT: no longer waiting; not ended yet: long\n");
  expect(isRunning(pid)).toBe(true);
  expect((await sandbox().json(["ps"]))[0].observer_pid).not.toBeNull();
});

test("a job that is detached meanwhile ends the waiting with 125", async () => {
  const { pid } = await sandbox().startJob("let-go", [], ["sleep", "1000"]);
  const { child, out } = await startWait(["let-go"]);
  expect((await sandbox().run(["detach", "let-go"])).code).toBe(0);
  expect(await child.exited).toBe(125);
  expect(out()).toMatch(/^JOB let-go \|.* exit=unknown /);
  expect(isRunning(pid)).toBe(true);
});

test("wait -q prints nothing, and --json one line for each result", async () => {
  await sandbox().run(["run", "--job-id", "over", "--", "true"]);
  expect(await sandbox().run(["wait", "-q", "over"])).toEqual({ code: 0, stdout: "", stderr: "" });
  const { stdout } = await sandbox().run(["wait", "--json", "over", "over"]);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(JSON.parse(stdout)).toMatchObject({ job_id: "over", exit_code: 0 });
});
