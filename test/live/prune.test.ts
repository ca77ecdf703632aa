import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, openSync, readFileSync, statSync, truncateSync } from "node:fs";
import { locateState } from "../../src/ledger/location.ts";
import {
  FFRTMP,
  lacksCommand,
  lacksRoot,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const DAY_MS = 86_400_000;

/** Opens the ledger without ffrtmp. */
function connect(box: Sandbox): Database {
  const db = new Database(locateState(box.state, {}).ledger);
  db.run("PRAGMA busy_timeout = 5000");
  return db;
}

/** Returns the first column of a query, or executes a change. */
function query(box: Sandbox, sql: string, ...values: string[]): unknown[] {
  const db = connect(box);
  try {
    return db
      .query(sql)
      .values(...values)
      .flat();
  } finally {
    db.close();
  }
}

/** Adds a job that ended some days ago: a copy of one that ran. */
function addOld(box: Sandbox, original: string, jobId: string, ageDays: number): void {
  const db = connect(box);
  db.run(`CREATE TEMP TABLE copy AS SELECT * FROM jobs WHERE job_id = ?`, [original]);
  db.run(`CREATE TEMP TABLE result AS SELECT * FROM results WHERE key = (SELECT key FROM copy)`);
  db.run("UPDATE copy SET key = ?, job_id = ?", [jobId, jobId]);
  db.run("UPDATE result SET key = ?, end_ms = ?", [jobId, Date.now() - ageDays * DAY_MS]);
  db.run("INSERT INTO jobs SELECT * FROM copy");
  db.run("INSERT INTO results SELECT * FROM result");
  db.close();
}

function recordedIds(box: Sandbox): unknown[] {
  return query(box, "SELECT job_id FROM jobs ORDER BY job_id");
}

/** Makes the next automatic pruning due, as after two days. */
function letTwoDaysPass(box: Sandbox): void {
  const atMs = Date.now() - 2 * DAY_MS;
  box.sql(
    "UPDATE notes SET value = ? WHERE name = 'retention_pass'",
    JSON.stringify({ atMs, clockMs: atMs }),
  );
}

/** Runs jobs until one has finished a pass of today: on a busy machine, the time for it can be over before its end. */
async function finishPass(box: Sandbox): Promise<void> {
  const isFinished = (): boolean => {
    const [note] = query(box, "SELECT value FROM notes WHERE name = 'retention_pass'");
    return note !== undefined && Date.now() - JSON.parse(note as string).atMs < DAY_MS;
  };
  await until("a pass is finished", async () => {
    if (!isFinished()) await box.run(["run", "--job-id", "pass", "--", "true"]);
    return isFinished();
  });
}

test("prune deletes the jobs that are older, with their logs, and no open one", async () => {
  const box = sandbox();
  const open = await box.startJob("open", [], ["sleep", "1000"]);
  await box.run(["run", "-d", "--job-id", "done", "--", "echo", "text"]);
  await box.resultOf("done");
  const [log] = query(box, "SELECT log_path FROM jobs WHERE job_id = 'done'") as [string];
  addOld(box, "done", "old", 100);
  box.sql("UPDATE jobs SET log_path = NULL WHERE job_id = 'old'");

  const dry = await box.json(["prune", "--dry-run"]);
  expect(dry).toMatchObject({ dry_run: true, jobs: 1, logs: 0 });
  expect(recordedIds(box)).toEqual(["done", "old", "open"]);

  const { code, stdout, stderr } = await box.run(["prune"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toStartWith("deleted 1 job, the newest ended by ");
  expect(recordedIds(box)).toEqual(["done", "open"]);
  expect(existsSync(log)).toBe(true);

  expect(await box.json(["prune", "--older-than", "0s"])).toMatchObject({ jobs: 1, logs: 1, log_bytes: 5 });
  expect(recordedIds(box)).toEqual(["open"]);
  expect(existsSync(log)).toBe(false);
  expect(await box.json(["inspect", "open"])).toMatchObject({ state: "running", pid: open.pid });
  expect((await box.run(["prune", "--compact"])).code).toBe(0);
});

test("prune deletes the oldest jobs until the rest fits, and says what is not a limit", async () => {
  const box = sandbox();
  await box.run(["run", "--job-id", "done", "--", "true"]);
  for (const age of [3, 2]) addOld(box, "done", `old-${age}`, age);
  expect(await box.json(["prune", "--max-size", "100MiB"])).toMatchObject({ jobs: 0 });
  expect(await box.json(["prune", "--max-size", "0"])).toMatchObject({ jobs: 3 });
  const { code, stderr } = await box.run(["prune", "--older-than", "yesterday"]);
  expect(code).toBe(2);
  expect(stderr).toContain("It is not a time. Expected: a time such as 30d, or unlimited.");
});

test("prune fails while another process keeps the ledger locked, and names a remedy", async () => {
  const box = sandbox();
  await box.run(["run", "--job-id", "done", "--", "true"]);
  const db = connect(box);
  try {
    db.run("BEGIN IMMEDIATE");
    const { code, stderr } = await box.run(["prune", "--older-than", "0s"]);
    expect(code).toBe(2);
    expect(stderr).toContain("another process has locked it");
  } finally {
    db.close();
  }
  expect(recordedIds(box)).toEqual(["done"]);
});

testIf(lacksRoot() ?? lacksCommand("setpriv"))("prune by a user who may not write says so", async () => {
  const box = sandbox();
  await box.run(["run", "--job-id", "done", "--", "true"]);
  chmodSync(box.directory, 0o755);
  const own = box.path("ffrtmp");
  copyFileSync(FFRTMP, own);
  const asNobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
  const child = box.spawn([...asNobody, own, "prune", "--older-than", "0s"]);
  const stderr = await new Response(child.stderr as ReadableStream).text();
  expect(await child.exited).toBe(2);
  expect(stderr).toContain("ffrtmp: cannot ");
  expect(stderr).not.toContain("internal error");
  expect(recordedIds(box)).toEqual(["done"]);
});

test("watch deletes old jobs, and its retention is that of run and prune too", async () => {
  const box = sandbox();
  await box.run(["run", "--job-id", "done", "--", "true"]);
  addOld(box, "done", "old", 3);
  const watch = async (...flags: string[]): Promise<{ log: string; stop: () => Promise<unknown> }> => {
    const log = box.path(`watch-${flags.length}.log`);
    const args = ["watch", "--target", `none-${box.tag}`, ...flags];
    const daemon = box.start(args, { stdout: "ignore", stderr: openSync(log, "w") });
    await until("it watches", () => readFileSync(log, "utf8").includes("Watching for"));
    const stop = () => {
      daemon.kill("SIGTERM");
      return daemon.exited;
    };
    return { log, stop };
  };
  const patient = await watch("--retention-max-age", "unlimited", "--retention-max-size", "unlimited");
  letTwoDaysPass(box);
  await box.run(["run", "--job-id", "next", "--", "true"]);
  await patient.stop();
  expect(await box.json(["prune", "--dry-run"])).toMatchObject({ jobs: 0 });
  expect(recordedIds(box)).toEqual(["done", "next", "old"]);

  const strict = await watch("--retention-max-age", "48h");
  await until("the old job is deleted", () => !recordedIds(box).includes("old"));
  await until("it is logged", () =>
    readFileSync(strict.log, "utf8").includes("History: deleted 1 ended jobs and 0 logs"),
  );
  await strict.stop();
  expect(recordedIds(box)).toEqual(["done", "next"]);
});

test("run deletes old jobs once a day, and only after its workload has ended", async () => {
  const box = sandbox();
  await box.run(["run", "--job-id", "first", "--", "true"]);
  await finishPass(box);
  addOld(box, "first", "old", 100);
  await box.run(["run", "--job-id", "second", "--", "true"]);
  expect(recordedIds(box)).toContain("old");

  letTwoDaysPass(box);
  const gate = box.path("gate");
  const { wrapper } = await box.startJob(
    "third",
    [],
    ["sh", "-c", `until [ -e ${gate} ]; do sleep 0.02; done; exit 7`],
  );
  expect(recordedIds(box)).toContain("old");
  await Bun.write(gate, "");
  expect(await wrapper.exited).toBe(7);
  await finishPass(box);
  expect(recordedIds(box)).not.toContain("old");

  addOld(box, "first", "old", 100);
  await box.run(["run", "--job-id", "fourth", "--", "true"]);
  expect(recordedIds(box)).toContain("old");
});

test("run -d begins a new ffrtmp.log when it has become long, and keeps two earlier ones", async () => {
  const box = sandbox();
  const log = locateState(box.state, {}).ownLog;
  for (const jobId of ["one", "two", "three", "four"]) {
    await box.run(["run", "-d", "--job-id", jobId, "--", "true"]);
    await box.resultOf(jobId);
    await until("its line is written", () => readFileSync(log, "utf8").includes(`JOB ${jobId} |`));
    truncateSync(log, 8 * 1024 ** 2);
  }
  expect(readFileSync(`${log}.1`, "utf8")).toStartWith("JOB three |");
  expect(readFileSync(`${log}.2`, "utf8")).toStartWith("JOB two |");
  expect(readFileSync(log, "utf8")).toStartWith("JOB four |");
  expect(existsSync(`${log}.3`)).toBe(false);
  expect(statSync(log).mode & 0o777).toBe(0o640);
});
