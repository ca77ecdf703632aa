import { Database } from "bun:sqlite";
import { afterEach, describe, expect, it } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { someJob, someResult } from "../../test/fixtures/jobs.ts";
import { JobConflict, Ledger, RELEASED_BY_POLICY } from "./ledger.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

interface Opened {
  ledger: Ledger;
  path: string;
  directory: string;
  /** What the ledger told the operator. */
  told: string[];
}

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-ledger-"));
  directories.push(directory);
  return directory;
}

function open(directory = freshDirectory()): Opened {
  const path = join(directory, "state", "ledger.db");
  const told: string[] = [];
  return { ledger: new Ledger(path, (message) => told.push(message)), path, directory, told };
}

describe("a job on record", () => {
  it("reads back as it was written, by another process's eyes", () => {
    const { ledger, directory } = open();
    const job = someJob({
      intent: "live",
      slaEligible: true,
      labels: { node: "edge 1" },
      limits: { cpuMax: { quotaUsec: "max", periodUsec: 1 }, ioMax: [{ device: "8:0", rbps: 1 }] },
      outcomes: [{ limit: "nice", outcome: "applied", wanted: "5", actual: "5" }],
      cgroup: [{ hierarchy: "cpu", path: "/a/b", origin: "/a", enabled: [] }],
      touched: [{ pid: 1, tid: 2, startTicks: 3, value: "nice", before: 0, after: 5 }],
      command: ["ffmpeg", "", "a\nb", "🎬'\"\\"],
    });
    ledger.begin(job);
    expect(open(directory).ledger.job(job.key)).toEqual(job);
  });

  it("changes only in the fields that were named", () => {
    const { ledger } = open();
    const job = someJob({ state: "starting", pid: null, startTicks: null, startedMs: null });
    ledger.begin(job);
    ledger.change(job, { state: "running", pid: 7, startTicks: 8 });
    expect(job).toMatchObject({ state: "running", pid: 7, startedMs: null });
    expect(ledger.job(job.key)).toEqual(job);
  });

  it("keeps its id from others until it has ended", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.begin(first);
    const second = someJob({ pid: 5000 });
    expect(() => ledger.begin(second)).toThrow(JobConflict);
    expect(ledger.job(second.key)).toBeUndefined();
    ledger.end(first, someResult(first));
    ledger.begin(second);
    expect(
      ledger
        .jobsNamed("transcode-001")
        .map(({ state }) => state)
        .sort(),
    ).toEqual(["ended", "running"]);
  });

  it("keeps its process from other jobs while it runs", () => {
    const { ledger } = open();
    ledger.begin(someJob());
    const other = someJob({ jobId: "other", state: "starting", pid: null, startTicks: null });
    ledger.begin(other);
    expect(() => ledger.change(other, { state: "running", pid: 4026, startTicks: 123_456 })).toThrow(
      JobConflict,
    );
    expect(other.state).toBe("starting");
    expect(ledger.job(other.key)?.state).toBe("starting");
    ledger.change(other, { state: "running", pid: 4026, startTicks: 999 });
  });

  it("is known by its process in this boot only", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    expect(ledger.openJobOfProcess(job.bootId, 4026, 123_456)?.key).toBe(job.key);
    expect(ledger.openJobOfProcess(job.bootId, 4026, 123_457)).toBeUndefined();
    expect(ledger.openJobOfProcess("another boot", 4026, 123_456)).toBeUndefined();
  });
});

describe("a result", () => {
  it("ends its job, once: a second one is not taken", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.begin(job);
    expect(ledger.end(job, someResult(job))).toBe(true);
    expect(job).toMatchObject({ state: "ended", observer: null });
    expect(open(directory).ledger.end(job, someResult(job, { exitCode: 9 }))).toBe(false);
    expect(ledger.result(job)).toEqual(someResult(job));
    expect(ledger.job(job.key)).toMatchObject({ state: "ended", observer: null });
  });

  it("can be neither changed nor deleted, whoever tries", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.begin(job);
    ledger.end(job, someResult(job));
    const db = new Database(path);
    expect(() => db.run("UPDATE results SET exit_code = 1")).toThrow("a result is never changed");
    expect(() => db.run("DELETE FROM results")).toThrow("a result is never deleted");
    db.close();
  });

  it("needs evidence for an exit code, and a reason for none", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    expect(() => ledger.end(job, someResult(job, { exitEvidence: null }))).toThrow("CHECK");
    expect(() => ledger.end(job, someResult(job, { exitCode: null }))).toThrow("CHECK");
    const unknown = { exitCode: null, exitEvidence: null, ending: "unobserved" } as const;
    expect(() => ledger.end(job, someResult(job, unknown))).toThrow("CHECK");
    expect(ledger.end(job, someResult(job, { ...unknown, exitUnknownBecause: "nobody looked" }))).toBe(true);
  });

  it("is in the history, the latest first, as many as are asked for", () => {
    const { ledger } = open();
    for (const [jobId, endMs] of [
      ["a", 10],
      ["b", 30],
      ["c", 20],
    ] as const) {
      const job = someJob({ jobId, pid: endMs });
      ledger.begin(job);
      ledger.end(job, someResult(job, { startMs: 0, endMs }));
    }
    ledger.begin(someJob({ jobId: "still running" }));
    expect(ledger.history(50).map(({ job }) => job.jobId)).toEqual(["b", "c", "a"]);
    expect(ledger.history(1).map(({ job }) => job.jobId)).toEqual(["b"]);
  });
});

describe("an observer", () => {
  it("takes a job over only from the one that it saw there", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.begin(job);
    const seenByBoth = open(directory).ledger.job(job.key);
    expect(ledger.takeOver(job, { pid: 1, startTicks: 1 })).toBe(true);
    expect(ledger.takeOver(seenByBoth as typeof job, { pid: 2, startTicks: 2 })).toBe(false);
    expect(ledger.job(job.key)?.observer).toEqual({ pid: 1, startTicks: 1 });
    expect(ledger.takeOver(job, null)).toBe(true);
    expect(ledger.job(job.key)?.observer).toBeNull();
  });

  it("takes over no job that has ended", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const seen = { ...job };
    ledger.end(job, someResult(job));
    expect(ledger.takeOver(seen, { pid: 1, startTicks: 1 })).toBe(false);
  });
});

describe("what a job left in the system", () => {
  it("is a new job's of the same name, so that nobody else clears it away", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.begin(first);
    ledger.end(first, someResult(first));
    expect(ledger.unreleasedJobs().map(({ key }) => key)).toEqual([first.key]);
    const second = someJob();
    ledger.begin(second);
    expect(ledger.unreleasedJobs().map(({ key }) => key)).toEqual([second.key]);
  });
});

describe("events and notes", () => {
  it("come back in their order, with what was said", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    ledger.addEvent(job, 5, "observer_died", {});
    ledger.addEvent(job, 4, "adopted", { because: "a\nb" });
    expect(ledger.events(job)).toEqual([
      { atMs: 5, kind: "observer_died", detail: {} },
      { atMs: 4, kind: "adopted", detail: { because: "a\nb" } },
    ]);
    ledger.setNote("scanned", "yes");
    ledger.setNote("scanned", "again");
    expect(ledger.note("scanned")).toBe("again");
    expect(ledger.note("other")).toBeUndefined();
  });

  it("remember who was released, so that watch does not take it again", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const unknown = { exitCode: null, exitEvidence: null, exitUnknownBecause: "it was alive" };
    ledger.end(job, someResult(job, { ...unknown, ending: "detached" }));
    expect(ledger.wasDetached(job.bootId, 4026, 123_456)).toBe(true);
    expect(ledger.wasDetached(job.bootId, 4026, 1)).toBe(false);
    ledger.addEvent(job, 6, RELEASED_BY_POLICY, {});
    expect(ledger.wasDetached(job.bootId, 4026, 123_456)).toBe(false);
  });

  it("bring a record up to date with what others have changed, and leave what only waits to be written", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const ours = structuredClone(job);
    ledger.change(job, { byHand: { pidsMax: 5 }, tenant: "acme", released: false });
    ledger.refresh(ours);
    expect(ours).toEqual(job);
    const unwritten = someJob({ key: "unwritten", tenant: "acme" });
    ledger.refresh(unwritten);
    expect(unwritten.tenant).toBe("acme");
  });
});

describe("a ledger that cannot be written", () => {
  const locked = (path: string): Database => {
    const db = new Database(path);
    db.run("BEGIN IMMEDIATE");
    return db;
  };

  it("keeps changes until it can be, in their order, and says so once", () => {
    const { ledger, path, told, directory } = open();
    const job = someJob();
    ledger.begin(job);
    const holder = locked(path);
    ledger.addEvent(job, 1, "first", {});
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/cannot write the ledger .* \(database is locked: another process holds it\)/);
    holder.run("ROLLBACK");
    holder.close();
    ledger.addEvent(job, 2, "second", {});
    expect(ledger.flush()).toBe(0);
    expect(
      open(directory)
        .ledger.events(job)
        .map(({ kind }) => kind),
    ).toEqual(["first", "second"]);
    ledger.close();
    expect(told).toHaveLength(1);
  }, 60_000);
});

describe("a ledger that cannot be opened", () => {
  function unusable(): Opened {
    const directory = freshDirectory();
    writeFileSync(join(directory, "state"), "a file");
    return open(directory);
  }

  it("works in memory, and says why nothing on record can be seen", () => {
    const { ledger, told } = unusable();
    expect(told[0]).toMatch(
      /cannot write the ledger \S+ \(ENOTDIR .*governing goes on, what happens is kept in memory only/,
    );
    expect(ledger.unreadableBecause).toMatch(/^ENOTDIR/);
    const job = someJob();
    ledger.begin(job);
    expect(() => ledger.begin(someJob())).toThrow(JobConflict);
    expect(ledger.end(job, someResult(job))).toBe(true);
    expect(ledger.history(5)).toHaveLength(1);
  });

  it("counts what is lost with it, notes about itself apart", () => {
    const { ledger, told } = unusable();
    ledger.setNote("scanned", "yes");
    ledger.close();
    expect(told).toHaveLength(1);
    ledger.begin(someJob());
    ledger.close();
    expect(told[1]).toMatch(/^1 change is lost that could not be written to the ledger /);
    ledger.begin(someJob({ jobId: "b", pid: 1 }));
    ledger.close();
    expect(told[2]).toMatch(/^2 changes are lost that could not be written/);
  });

  it("is written whole as soon as it can be", () => {
    const { ledger, directory } = unusable();
    const job = someJob();
    ledger.begin(job);
    rmSync(join(directory, "state"));
    expect(ledger.flush()).toBe(0);
    expect(ledger.unreadableBecause).toBeUndefined();
    ledger.end(job, someResult(job));
    expect(open(directory).ledger.history(5)).toHaveLength(1);
  });
});

describe("a ledger file", () => {
  it("that is damaged while it is open is set aside whole, and a new one begun", () => {
    const { ledger, path, told } = open();
    ledger.begin(someJob());
    for (const name of readdirSync(join(path, "..")))
      writeFileSync(join(path, "..", name), "damage ".repeat(2000));
    const { ledger: next, told: toldNext } = open(join(path, "../.."));
    expect(toldNext[0]).toMatch(/is damaged \(.*it was set aside as \S+ledger\.db\.damaged-\d{4}-/);
    expect(next.openJobs()).toEqual([]);
    next.begin(someJob());
    expect(told).toEqual([]);
    const aside = readdirSync(join(path, "..")).find((name) => /\.damaged-[^/]*Z$/.test(name)) as string;
    expect(readFileSync(join(path, "..", aside), "utf8")).toStartWith("damage damage");
  });

  it("of a newer schema, or of another program, stays as it is to the byte", () => {
    for (const [sql, reason] of [
      [
        "PRAGMA user_version = 77; CREATE TABLE jobs (a)",
        /^its schema is version 77, and this ffrtmp knows versions up to \d+$/,
      ],
      ["CREATE TABLE accounts (a)", /^it is the database of something else$/],
    ] as const) {
      const directory = freshDirectory();
      const path = join(directory, "state/ledger.db");
      writeDatabase(path, sql);
      const before = readFileSync(path, "base64");
      const { ledger, told } = open(directory);
      expect(ledger.unreadableBecause).toMatch(reason);
      expect(told).toHaveLength(1);
      ledger.begin(someJob());
      ledger.close();
      expect(readFileSync(path, "base64")).toBe(before);
    }
  });

  it("is brought up to date once, however many open it at the same time", async () => {
    const directory = freshDirectory();
    const program = `
      const { Ledger } = await import(${JSON.stringify(join(import.meta.dir, "ledger.ts"))});
      const { someJob } = await import(${JSON.stringify(join(import.meta.dir, "../../test/fixtures/jobs.ts"))});
      const ledger = new Ledger(${JSON.stringify(join(directory, "state/ledger.db"))}, (text) => console.error(text));
      ledger.begin(someJob({ jobId: "job-" + process.pid, pid: process.pid }));`;
    const children = Array.from({ length: 6 }, () =>
      Bun.spawn([process.execPath, "-e", program], { stdout: "ignore", stderr: "pipe" }),
    );
    for (const child of children) {
      expect({ told: await child.stderr.text(), code: await child.exited }).toEqual({ told: "", code: 0 });
    }
    expect(open(directory).ledger.openJobs()).toHaveLength(6);
  });
});

function writeDatabase(path: string, sql: string): void {
  mkdirSync(dirname(path));
  const db = new Database(path, { create: true });
  db.run(sql);
  db.close();
}
