import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { expectMessage } from "../support/badInput.ts";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { lock } from "../support/strangers.ts";

const sandbox = useSandbox();
const lockTest = testIf(lacksLimits() ?? lacksCommand("setpriv") ?? lacksCommand("perl"));

/** Locks the ledger for writing, as `BEGIN IMMEDIATE` in a sqlite3 of root does. Returns the release. */
function lockAsRoot(box: Sandbox): () => void {
  const db = new Database(`${box.state}/ledger.db`);
  db.run("PRAGMA busy_timeout = 10000");
  db.run("BEGIN IMMEDIATE");
  return () => {
    db.run("ROLLBACK");
    db.close();
  };
}

async function makeLedger(box: Sandbox): Promise<void> {
  await box.run(["run", "--job-id", "first", "--", "true"]);
  // Cgroups without a record are looked for once.
  await box.run(["ps"]);
  chmodSync(box.directory, 0o755);
}

/** Starts a daemon for the sleepers of a name, and returns a reader of its log. */
async function startWatch(box: Sandbox, target: string): Promise<() => string> {
  const log = box.path("watch.log");
  box.spawn(["sh", "-c", `exec "$0" watch --target ${target} 2>"${log}"`, FFRTMP], {
    stdout: "ignore",
  });
  const read = (): string => (existsSync(log) ? readFileSync(log, "utf8") : "");
  await until("the daemon watches", () => read().includes("Watching for"));
  return read;
}

function isGoverned(pid: number): boolean {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes("/ffrtmp-");
}

lockTest("a stranger can lock no file of a state directory", async () => {
  await makeLedger(sandbox());
  const { name } = sandbox().program("sleep");
  await startWatch(sandbox(), name);
  for (const file of ["ledger.db", "ledger.db-wal", "ledger.db-shm", "watch.lock"]) {
    for (const kind of ["read", "flock"] as const) {
      const { answer } = await lock(sandbox(), kind, `${sandbox().state}/${file}`);
      expect({ file, answer }).toEqual({ file, answer: "refused: Permission denied" });
    }
  }
});

lockTest(
  "while root's sqlite3 locks the ledger, watch governs each process, and records it later",
  async () => {
    await makeLedger(sandbox());
    const { name, path } = sandbox().program("sleep");
    const log = await startWatch(sandbox(), name);
    const before = sandbox().spawn([path, "1000"]);
    await until("it is governed before the lock", () => isGoverned(before.pid));
    const release = lockAsRoot(sandbox());
    const sleepers = Array.from({ length: 12 }, () => sandbox().spawn([path, "1000"]));
    for (const { pid } of sleepers) await until(`PID ${pid} is governed`, () => isGoverned(pid));
    expect(log()).toMatch(/cannot write the ledger .*database is locked: another process uses it/);
    expect(log().match(/cannot write the ledger/g)).toHaveLength(1);
    // Their ends are known too, although the ledger does not know the jobs yet.
    for (const { pid } of [before, ...sleepers.slice(0, 6)]) process.kill(pid, "SIGKILL");
    const ended = [before, ...sleepers.slice(0, 6)].map(({ pid }) => pid);
    for (const pid of ended)
      await until(`the end of PID ${pid} is logged`, () =>
        new RegExp(`JOB \\S+ \\|.* pid=${pid}\n`).test(log()),
      );
    release();
    const results = await eventually("the ends are recorded", async () => {
      const found = (await sandbox().json(["history"])) as { pid: number; signal: string | null }[];
      const known = found.filter(({ pid, signal }) => ended.includes(pid) && signal === "SIGKILL");
      return known.length === ended.length ? known : undefined;
    });
    expect(results.map(({ pid }) => pid).sort()).toEqual([...ended].sort());
    const open = (await sandbox().json(["ps"])) as { pid: number; observer_pid: number }[];
    expect(open.map(({ pid }) => pid).sort()).toEqual(
      sleepers
        .slice(6)
        .map(({ pid }) => pid)
        .sort(),
    );
  },
);

lockTest("while the ledger is locked, run starts its workload, and its record follows", async () => {
  await makeLedger(sandbox());
  const release = lockAsRoot(sandbox());
  const marker = sandbox().path("marker");
  const gate = sandbox().path("gate");
  const script = `touch "${marker}"; until [ -e "${gate}" ]; do sleep 0.05; done; exit 3`;
  const wrapper = sandbox().start(["run", "--job-id", "locked", "--", "sh", "-c", script]);
  await until("the workload runs", () => existsSync(marker));
  release();
  await eventually("the job is recorded", async () => {
    const open = (await sandbox().json(["ps"])) as { job_id: string }[];
    return open.find(({ job_id }) => job_id === "locked");
  });
  Bun.spawnSync(["touch", gate]);
  expect(await wrapper.exited).toBe(3);
  expect(await sandbox().resultOf("locked")).toMatchObject({ exit_code: 3, exit_evidence: "parent" });
  expect(sandbox().cgroups()).toEqual([]);
});

lockTest(
  "a lock that stays loses the record of run, loudly, and neither the job nor its exit code",
  async () => {
    await makeLedger(sandbox());
    const release = lockAsRoot(sandbox());
    const ended = await sandbox().run(["run", "--job-id", "locked", "--", "sh", "-c", "exit 3"]);
    expect(ended.code).toBe(3);
    expectMessage(ended.stderr, [/database is locked/, /changes are lost that could not be written/]);
    expect(sandbox().cgroups()).toEqual([]);
    release();
  },
);

lockTest("a job id that is in use is refused although the ledger is locked", async () => {
  await makeLedger(sandbox());
  const { wrapper } = await sandbox().startJob("taken", [], ["sleep", "1000"]);
  const release = lockAsRoot(sandbox());
  const again = await sandbox().run(["run", "--job-id", "taken", "--", "true"]);
  expect(again.code).toBe(125);
  expect(again.stderr).toMatch(/the job id taken is taken by a job that still runs/);
  wrapper.kill("SIGTERM");
  expect(await wrapper.exited).toBe(143);
  release();
});

lockTest("a lock of another program on any file stops neither run nor watch nor ps", async () => {
  await makeLedger(sandbox());
  const asRoot = (command: string[]) => command;
  const locks = [
    ["write", "ledger.db"],
    ["write", "ledger.db-wal"],
    ["read", "ledger.db-shm"],
  ] as const;
  for (const [kind, file] of locks) {
    const other = await lock(sandbox(), kind, `${sandbox().state}/${file}`, asRoot);
    expect({ file, answer: other.answer }).toEqual({ file, answer: "locked" });
    const ended = await sandbox().run(["run", "--", "sh", "-c", "exit 3"]);
    expect({ file, code: ended.code }).toEqual({ file, code: 3 });
    const listed = await sandbox().run(["ps"]);
    expect(listed.stderr).not.toMatch(/internal error/);
    const watched = await sandbox().run(["watch", "--once", "--target", "no-such-command"]);
    expect({ file, code: watched.code }).toEqual({ file, code: 0 });
    other.process.kill("SIGKILL");
    await other.process.exited;
  }
});

lockTest("exec records its job before the command runs, if the ledger was locked meanwhile", async () => {
  await makeLedger(sandbox());
  const release = lockAsRoot(sandbox());
  const log = sandbox().path("exec.log");
  const script = `exec "$0" exec --job-id late -- sleep 1000 2>"${log}"`;
  const { pid } = sandbox().spawn(["sh", "-c", script, FFRTMP]);
  await until(
    "a change waits",
    () => existsSync(log) && /database is locked/.test(readFileSync(log, "utf8")),
  );
  release();
  await until("it is sleep", () => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n");
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "late", pid, observer_pid: null }]);
});

lockTest("exec says so where its job could not be recorded", async () => {
  await makeLedger(sandbox());
  const release = lockAsRoot(sandbox());
  const ended = await sandbox().run(["exec", "--job-id", "lost", "--", "true"]);
  release();
  expect(ended.code).toBe(0);
  expectMessage(ended.stderr, [/job lost is not recorded/]);
});
