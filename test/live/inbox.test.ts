import { expect, test } from "bun:test";
import { chmodSync, chownSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FFRTMP, isRunning, lacksCommand, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";
import { STRANGER } from "../support/strangers.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const PROGRAM = join(import.meta.dir, "../support/programs/plainRun.ts");

/** Starts a plain launch and returns its wrapper. The wrapper reports on stdout that it continued in the ledger. */
function launch(jobId: string, command: string[], delayMs = 0): Bun.Subprocess {
  return sandbox().spawn([process.execPath, PROGRAM, sandbox().state, jobId, String(delayMs), ...command]);
}

function names(): string[] {
  return readdirSync(join(sandbox().state, "inbox")).sort();
}

function untilFile(name: string, code = 0): string[] {
  return ["sh", "-c", `while [ ! -e ${sandbox().path(name)} ]; do sleep 0.02; done; exit ${code}`];
}

async function textOf(child: Bun.Subprocess): Promise<string> {
  return new Response(child.stdout as ReadableStream).text();
}

/** Creates the ledger, as the first `run` in a state directory does. */
async function createState(): Promise<void> {
  expect((await sandbox().run(["run", "--job-id", "first", "--", "true"])).code).toBe(0);
}

test("a plain launch is seen by each command that reads, from its start to its end, and stays in its file", async () => {
  await createState();
  const log = sandbox().path("events.out");
  sandbox().start(["events", "--follow"], { stdout: openSync(log, "w"), stderr: "ignore" });
  const waits = sandbox().path("wait.out");
  const wrapper = launch("plain", untilFile("go", 7));
  const pid = await sandbox().pidOf("plain");
  sandbox().adopt(pid);
  expect(names()).toEqual(["plain.job"]);
  const wait = sandbox().start(["wait", "plain"], { stdout: openSync(waits, "w"), stderr: "ignore" });
  const running = { job_id: "plain", state: "running", pid, observer_pid: wrapper.pid };
  expect(await sandbox().json(["ps"])).toMatchObject([running]);
  expect(await sandbox().json(["inspect", String(pid)])).toMatchObject(running);
  expect((await sandbox().run(["stats", "--once"])).stdout).toContain("plain");
  expect((await sandbox().run(["ps", "--quiet"])).stdout).toBe("plain\n");
  const attached = await sandbox().run(["attach", "--pid", String(pid)]);
  expect(attached.stderr).toContain(`it is governed already, as job plain, observed by PID ${wrapper.pid}`);
  const taken = await sandbox().run(["run", "--job-id", "plain", "--", "true"]);
  expect(taken.code).toBe(125);
  expect(taken.stderr).toContain(`the job id plain is taken by a job that still runs as PID ${pid}`);
  expect(names()).toEqual(["plain.job"]);
  await until("the waiting has begun", () => isRunning(wait.pid));
  writeFileSync(sandbox().path("go"), "");
  expect(await wrapper.exited).toBe(7);
  expect(await textOf(wrapper)).toBe("");
  expect(await wait.exited).toBe(7);
  expect(readFileSync(waits, "utf8")).toMatch(/^JOB plain \|.* exit=7 /);
  expect((await sandbox().json(["inspect", "plain"])).result).toMatchObject({
    exit_code: 7,
    exit_evidence: "parent",
  });
  expect((await sandbox().json(["history"])).map((each: { job_id: string }) => each.job_id)).toEqual([
    "plain",
    "first",
  ]);
  const lines = () =>
    readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line.includes("plain"));
  await until("the end is in the log", () => lines().length >= 3);
  expect(lines()).toHaveLength(3);
  expect(names()).toEqual([]);
});

test("watch does not govern the workload of a plain launch, and moves its record into the ledger after its end", async () => {
  await createState();
  const { name, path } = sandbox().program("sleep");
  const daemon = await startDaemon(sandbox(), ["--target", name]);
  // The daemon learns of the process a second before its launch records it.
  const wrapper = launch("plain", [path, "600"], 1000);
  const pid = await sandbox().pidOf("plain");
  sandbox().adopt(pid);
  expect(await sandbox().json(["ps"])).toMatchObject([
    { job_id: "plain", mode: "run", pid, observer_pid: wrapper.pid },
  ]);
  expect(names()).toEqual(["plain.job"]);
  process.kill(pid, "SIGTERM");
  await wrapper.exited;
  expect(await textOf(wrapper)).toBe("");
  await until("the daemon has folded the record", () => names().length === 0);
  const jobs = await sandbox().json(["history"]);
  expect(jobs.map((each: { job_id: string }) => each.job_id)).toEqual(["plain", "first"]);
  expect(daemon.log()).not.toContain("plain");
});

test("watch records the end of a plain launch whose wrapper was killed", async () => {
  await createState();
  await startDaemon(sandbox());
  const wrapper = launch("plain", untilFile("go", 4));
  const pid = await sandbox().pidOf("plain");
  sandbox().adopt(pid);
  wrapper.kill("SIGKILL");
  await until(
    "the daemon observes the job",
    async () => (await sandbox().json(["ps"]))[0].observer_pid !== wrapper.pid,
  );
  expect(names()).toEqual([]);
  writeFileSync(sandbox().path("go"), "");
  expect(await sandbox().resultOf("plain")).toMatchObject({ exit_code: 4, mode: "run" });
});

test("a launch that was killed before it recorded its start is recovered", async () => {
  await createState();
  const wrapper = launch("plain", ["sleep", "600"], 600_000);
  await until("the job is registered", () => names().includes("plain.job"));
  await until(
    "the workload runs",
    async () => readFileSync(`/proc/${wrapper.pid}/task/${wrapper.pid}/children`, "utf8") !== "",
  );
  const pid = Number(readFileSync(`/proc/${wrapper.pid}/task/${wrapper.pid}/children`, "utf8").split(" ")[0]);
  sandbox().adopt(pid);
  expect((await sandbox().json(["ps"]))[0]).toMatchObject({ job_id: "plain", state: "starting" });
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  expect(await sandbox().json(["ps"])).toMatchObject([
    { job_id: "plain", state: "running", pid, observer_pid: null },
  ]);
  expect(names()).toEqual([]);
});

test("a change of a plain launch by hand moves it into the ledger, where its own wrapper ends it", async () => {
  await createState();
  const wrapper = launch("plain", untilFile("go", 3));
  const pid = await sandbox().pidOf("plain");
  sandbox().adopt(pid);
  const changed = await sandbox().run(["limits", "set", "plain", "--nice", "7"]);
  expect(changed.stderr).not.toMatch(/cannot/);
  expect(changed.code).toBe(0);
  expect(names()).toEqual([]);
  writeFileSync(sandbox().path("go"), "");
  expect(await wrapper.exited).toBe(3);
  expect(await textOf(wrapper)).toBe("continued in the ledger\n");
  expect(await sandbox().resultOf("plain")).toMatchObject({ exit_code: 3, exit_evidence: "parent" });
});

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "a member of the group that may read the state sees plain launches, and changes nothing",
  async () => {
    await createState();
    const inbox = join(sandbox().state, "inbox");
    chmodSync(sandbox().directory, 0o755);
    for (const directory of [sandbox().state, inbox]) {
      chownSync(directory, 0, STRANGER);
      chmodSync(directory, 0o2750);
    }
    for (const name of readdirSync(sandbox().state)) chownSync(join(sandbox().state, name), 0, STRANGER);
    const wrapper = launch("plain", untilFile("go", 3));
    const pid = await sandbox().pidOf("plain");
    sandbox().adopt(pid);
    const ended = launch("ended", ["true"]);
    expect(await ended.exited).toBe(0);
    const before = names();
    expect(before).toHaveLength(2);
    const read = async (...args: string[]): Promise<string> => {
      const group = ["setpriv", `--reuid=54321`, `--regid=${STRANGER}`, "--clear-groups"];
      const child = sandbox().spawn([...group, FFRTMP, ...args, "--state-path", sandbox().state], {
        cwd: "/",
      });
      const text = await textOf(child);
      expect({ args, code: await child.exited }).toEqual({ args, code: 0 });
      return text;
    };
    expect(JSON.parse(await read("ps", "--json"))).toMatchObject([{ job_id: "plain", pid }]);
    expect(JSON.parse(await read("history", "--json"))).toMatchObject([
      { job_id: "ended" },
      { job_id: "first" },
    ]);
    expect(JSON.parse(await read("inspect", "plain", "--json"))).toMatchObject({ job_id: "plain", pid });
    expect(await read("events")).toContain("ended");
    expect(names()).toEqual(before);
    writeFileSync(sandbox().path("go"), "");
    expect(await wrapper.exited).toBe(3);
    expect(await textOf(wrapper)).toBe("");
  },
);
