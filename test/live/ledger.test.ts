import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { realHost } from "../../src/linux/host.ts";
import { readIdentity } from "../../src/linux/proc/identity.ts";
import { listTree } from "../../src/linux/proc/table.ts";
import {
  isRunning,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
  withoutForeignJobs,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

test("a job has one result, which cannot be duplicated, changed or deleted", async () => {
  await sandbox().run(["run", "--job-id", "once", "--", "sh", "-c", "exit 4"]);
  const db = openLedger(sandbox());
  expect(() => db.run("INSERT INTO results SELECT * FROM results")).toThrow("UNIQUE");
  expect(() => db.run("UPDATE results SET exit_code = 0")).toThrow("a result is never changed");
  expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted");
  db.close();
  expect(await sandbox().json(["history"])).toMatchObject([{ job_id: "once", exit_code: 4 }]);
});

test("twenty concurrent runs on a new ledger are all recorded, each with its exit code", async () => {
  const codes = Array.from({ length: 20 }, (_, index) => index);
  const ended = await Promise.all(
    codes.map((code) =>
      sandbox().run([
        "run",
        "--job-id",
        `job-${code}`,
        "--cpu-quota",
        "100",
        "--",
        "sh",
        "-c",
        `exit ${code}`,
      ]),
    ),
  );
  expect(ended.map(({ code }) => code)).toEqual(codes);
  for (const { stderr } of ended) expect(stderr).toMatch(/^JOB job-\d+ \|.*\n$/m);
  const results = (await sandbox().json(["history"])) as { job_id: string; exit_code: number }[];
  const recorded = results.map((result) => `${result.job_id} ${result.exit_code}`).sort();
  expect(recorded).toEqual(codes.map((code) => `job-${code} ${code}`).sort());
  expect(sandbox().cgroups()).toEqual([]);
  const db = openLedger(sandbox());
  expect(db.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  db.close();
});

test("run waits for a ledger that another process is creating", async () => {
  const state = sandbox().path("new");
  mkdirSync(state);
  const maker = new Database(`${state}/ledger.db`, { create: true });
  maker.run("BEGIN IMMEDIATE");
  const errors = sandbox().path("err");
  const second = sandbox().start(["ps", "--state-path", state], { stderr: openSync(errors, "w") });
  await until("run has opened the ledger", () => {
    if (second.exitCode !== null) return true;
    const files = readdirSync(`/proc/${second.pid}/fd`).map((fd) => linkOf(`/proc/${second.pid}/fd/${fd}`));
    return files.includes(`${state}/ledger.db`);
  });
  // Time to reach the lock. On a slow machine run comes later and finds no lock, and the test still passes.
  await Bun.sleep(100);
  maker.run("COMMIT");
  maker.close();
  expect(await second.exited).toBe(0);
  // And nothing about the lock.
  expect(withoutForeignJobs(readFileSync(errors, "utf8"))).toMatch(
    /^ffrtmp: no job has been recorded in \S+new\n {2}root's .*\n$/,
  );
});

test("a record that could not be written is written as soon as possible, while the job still runs", async () => {
  const state = sandbox().path("late");
  writeFileSync(state, "where the state directory should be");
  const errors = sandbox().path("err");
  const wrapper = sandbox().start(
    ["run", "--state-path", state, "--job-id", "early", "--", "sleep", "1000"],
    {
      stderr: openSync(errors, "w"),
    },
  );
  await until("run has reported the failure", () =>
    readFileSync(errors, "utf8").includes("cannot write the ledger"),
  );
  await until("the workload runs", () => listTree(realHost(), wrapper.pid).length === 2);
  for (const pid of listTree(realHost(), wrapper.pid)) sandbox().adopt(pid);
  unlinkSync(state);
  // Reads the file directly, because ffrtmp would recover the running job.
  await until("the job is recorded", () => countJobs(`${state}/ledger.db`) === 1);
  const [job] = JSON.parse((await sandbox().run(["ps", "--json", "--state-path", state])).stdout);
  expect(job).toMatchObject({ job_id: "early", state: "running", mode: "run" });
  process.kill(job.pid, "SIGKILL");
  expect(await wrapper.exited).toBe(137);
  const [result] = JSON.parse((await sandbox().run(["history", "--json", "--state-path", state])).stdout);
  expect(result).toMatchObject({ signal: "SIGKILL", exit_evidence: "parent" });
});

const DAMAGES: Record<string, (ledger: string) => void> = {
  garbage: (ledger) => writeFileSync(ledger, "no database at all\n".repeat(1000)),
  "cut off in the middle": (ledger) =>
    truncateSync(ledger, Math.floor(statSync(ledger).size / 2 / 512) * 512),
  "its first page overwritten": (ledger) =>
    writeFileSync(ledger, new Uint8Array(4096).fill(0xaa), { flag: "r+" }),
};

for (const [damage, inflict] of Object.entries(DAMAGES)) {
  limitsTest(
    `a damaged ledger (${damage}) is renamed and reported, and running jobs are recovered`,
    async () => {
      const flags = ["--cpu-quota", "50", "--pids-max", "20"];
      const { pid, wrapper } = await sandbox().startJob("living", flags, ["sleep", "1000"]);
      wrapper.kill("SIGKILL");
      await wrapper.exited;
      checkpoint(sandbox());
      inflict(ledgerPath(sandbox()));

      const { code, stdout, stderr } = await sandbox().run(["ps", "--json"]);
      expect(code).toBe(0);
      expect(stderr).toMatch(/the ledger .* is damaged .*it was set aside as .*ledger\.db\.damaged-20\d\d-/);
      expect(JSON.parse(stdout)).toMatchObject([{ job_id: "living", pid, state: "running" }]);
      expect(readdirSync(sandbox().state).filter((name) => /\.damaged-[^.]*Z$/.test(name))).toHaveLength(1);
      expect(isRunning(pid)).toBe(true);

      // From here on everything works as usual.
      const again = await sandbox().run(["ps"]);
      expect(withoutForeignJobs(again.stderr)).toBe("");
      expect((await sandbox().run(["detach", "living"])).code).toBe(0);
      expect(isRunning(pid)).toBe(true);
      expect(sandbox().cgroups()).toEqual([]);
    },
  );
}

limitsTest("run exits with the workload's exit code although the ledger is damaged meanwhile", async () => {
  const { pid, wrapper } = await sandbox().startJob("waiting", ["--cpu-quota", "50"], ["sleep", "1000"]);
  checkpoint(sandbox());
  DAMAGES["garbage"]?.(ledgerPath(sandbox()));
  process.kill(pid, "SIGKILL");
  expect(await wrapper.exited).toBe(137);
  expect(await sandbox().json(["ps"])).toEqual([]);
  expect(sandbox().cgroups()).toEqual([]);
});

limitsTest("a deleted ledger is rebuilt from the running jobs", async () => {
  const { pid } = await sandbox().startJob("living", ["--cpu-quota", "50"], ["sleep", "1000"]);
  for (const name of readdirSync(sandbox().state)) {
    if (name.startsWith("ledger.db")) await Bun.file(`${sandbox().state}/${name}`).delete();
  }
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "living", pid }]);
});

test("a job of an earlier boot is recorded as ended for that reason, even if its pid is in use", async () => {
  const { pid, wrapper } = await sandbox().startJob("rebooted", [], ["sleep", "1000"]);
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  process.kill(pid, "SIGKILL");
  await until("the process has ended", () => !isRunning(pid));
  // The pid and start time of a running process, as if the machine had started identically.
  const stranger = sandbox().spawn(["sleep", "1000"]);
  const identity = readIdentity(realHost(), stranger.pid);
  const startTicks = identity === "gone" ? 0 : identity.startTicks;
  sandbox().sql("UPDATE jobs SET boot_id = 'earlier', pid = ?, start_ticks = ?", stranger.pid, startTicks);

  expect(await sandbox().json(["ps"])).toEqual([]);
  const [result] = await sandbox().json(["history"]);
  expect(result).toMatchObject({ ending: "unobserved", exit_code: null, exit_evidence: null });
  expect(result.exit_unknown_because).toContain("restarted");
  expect(isRunning(stranger.pid)).toBe(true);
  expect(sandbox().cgroups()).toEqual([]);
});

test("a job id is refused while its job runs, and is free after its end", async () => {
  const { pid, wrapper } = await sandbox().startJob("name", [], ["sleep", "1000"]);
  const taken = await sandbox().run(["run", "--job-id", "name", "--", "true"]);
  expect(taken.code).toBe(125);
  expect(taken.stderr).toContain(`taken by a job that still runs as PID ${pid}`);
  process.kill(pid, "SIGKILL");
  await wrapper.exited;
  expect((await sandbox().run(["run", "--job-id", "name", "--", "true"])).code).toBe(0);
  const results = await sandbox().json(["history"]);
  expect(results).toMatchObject([
    { job_id: "name", exit_code: 0 },
    { job_id: "name", signal: "SIGKILL" },
  ]);
  expect((await sandbox().json(["inspect", "name"])).result.exit_code).toBe(0);
});

test("a job id is free at once when its wrapper and its workload have both been killed", async () => {
  const { pid, wrapper } = await sandbox().startJob("name", ["--cpu-quota", "50"], ["sleep", "1000"]);
  wrapper.kill("SIGKILL");
  process.kill(pid, "SIGKILL");
  await wrapper.exited;
  await until("the process has ended", () => !isRunning(pid));
  expect((await sandbox().run(["run", "--job-id", "name", "--", "sh", "-c", "exit 6"])).code).toBe(6);
  expect(await sandbox().json(["history"])).toMatchObject([
    { exit_code: 6, exit_evidence: "parent" },
    { ending: "unobserved", exit_code: null },
  ]);
  expect(sandbox().cgroups()).toEqual([]);
});

test("a ledger of a later ffrtmp version is left unchanged, and the workload runs", async () => {
  await sandbox().run(["run", "--job-id", "old", "--", "true"]);
  sandbox().sql("PRAGMA user_version = 1000");
  const { code, stderr } = await sandbox().run(["run", "--job-id", "new", "--", "sh", "-c", "exit 3"]);
  expect(code).toBe(3);
  expect(stderr).toContain("its schema is version 1000");
  const db = openLedger(sandbox());
  expect(db.query("SELECT job_id FROM jobs").all()).toEqual([{ job_id: "old" }]);
  db.close();
});

limitsTest("processes that a job leaves behind keep their limits and are listed", async () => {
  const script = "sleep 1000 >/dev/null 2>&1 &";
  const args = ["run", "--job-id", "parent", "--cpu-quota", "50", "--", "sh", "-c", script];
  const { code, stderr } = await sandbox().run(args);
  expect(code).toBe(0);
  const [, left] = /ended and left processes running: PID (\d+); their limits stay/.exec(stderr) ?? [];
  expect(isRunning(Number(left))).toBe(true);
  expect(sandbox().cgroups().length).toBeGreaterThan(0);
  process.kill(Number(left), "SIGKILL");
  await until("the process has ended", () => !isRunning(Number(left)));
  await sandbox().run(["ps"]);
  expect(sandbox().cgroups()).toEqual([]);
});

function ledgerPath(box: Sandbox): string {
  return `${box.state}/ledger.db`;
}

function openLedger(box: Sandbox): Database {
  return new Database(ledgerPath(box));
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** Returns the number of jobs, and 0 while the ledger does not exist or is being created. */
function countJobs(path: string): number {
  try {
    const db = new Database(path, { readonly: true });
    const { length } = db.query("SELECT key FROM jobs").all();
    db.close();
    return length;
  } catch {
    return 0;
  }
}

/** Writes the newest rows from the write-ahead log to the file, so that damage to the file affects them. */
function checkpoint(box: Sandbox): void {
  const db = openLedger(box);
  db.query("PRAGMA wal_checkpoint(TRUNCATE)").all();
  db.close();
}
