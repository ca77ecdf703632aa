import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  inboxNames,
  inboxOf,
  type PlainLaunch,
  STEPS,
  someLaunch,
  writeLaunch,
} from "../../../test/support/inbox.ts";
import { someJob, someProcess, someResult } from "../../../test/support/jobs.ts";
import { useLedgers } from "../../../test/support/ledgers.ts";
import { toEnded, toRunning } from "../../jobs/model/job.ts";
import { Ledger } from "../ledger.ts";
import { foldFiles, type Inbox } from "./fold.ts";
import { appendResult, appendRunning, finishInboxFile } from "./inboxFile.ts";

const { open } = useLedgers();
const isRoot = process.geteuid?.() === 0;

/** Folds all files with a connection of its own, as another process does. */
function fold(path: string, names = inboxNames(path)): string[] {
  const messages: string[] = [];
  const db = new Database(path, { strict: true });
  const inbox: Inbox = {
    directory: inboxOf(path),
    owner: process.geteuid?.() ?? 0,
    report: (text) => messages.push(text),
  };
  try {
    foldFiles(db, inbox, names);
  } finally {
    db.close();
  }
  return messages;
}

function count(path: string, table: string): number {
  const db = new Database(path);
  const row = db.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get();
  db.close();
  return row?.n ?? -1;
}

/** The job as the ledger has it after these steps. */
function expectedJob({ job, running }: PlainLaunch, last: (typeof STEPS)[number]) {
  const { process, startedMs, startedBootMs, ...facts } = running;
  const started = { ...toRunning(job, { process, startedMs, startedBootMs }), ...facts };
  if (last === "registered") return job;
  if (last === "running") return started;
  const ended = toEnded(started);
  return last === "result" ? ended : { ...ended, changes: [], cleanedUp: true };
}

describe("folding", () => {
  for (const last of STEPS) {
    it(`records a launch that is ${last}, once, whatever a death has left`, () => {
      const { ledger, path } = open();
      const launch = someLaunch();
      writeLaunch(path, launch, last);
      const [name = ""] = inboxNames(path);
      const file = join(inboxOf(path), name);
      const copy = readFileSync(file);
      for (const left of [name, name, `${launch.job.key}.folded`]) {
        writeFileSync(join(inboxOf(path), left), copy, { mode: 0o640 });
        fold(path);
        expect(inboxNames(path)).toEqual([]);
        expect(ledger.job(launch.job.key)).toEqual(expectedJob(launch, last));
        const hasResult = last === "result" || last === "finished";
        expect(ledger.result(launch.job)).toEqual(hasResult ? launch.result : undefined);
        expect([count(path, "jobs"), count(path, "results")]).toEqual([1, hasResult ? 1 : 0]);
      }
    });
  }

  it("records many launches in a few transactions", () => {
    const { ledger, path } = open();
    const launches = Array.from({ length: 450 }, () => someLaunch());
    for (const launch of launches) writeLaunch(path, launch);
    const before = ledger.versionOfOthers();
    fold(path);
    expect(ledger.versionOfOthers()).not.toBe(before);
    expect(inboxNames(path)).toEqual([]);
    expect(ledger.history(1000)).toHaveLength(450);
    expect(ledger.history(1000).every(({ job }) => job.cleanedUp)).toBeTrue();
  });

  it("includes what the writer appends before it learns of the new name", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const file = writeLaunch(path, launch, "registered");
    // A death after the commit leaves the name.
    const name = join(inboxOf(path), file.name);
    copyFileSync(name, `${name}.copy`);
    fold(path, [file.name]);
    expect(ledger.job(launch.job.key)?.state).toBe("starting");
    linkSync(`${name}.copy`, join(inboxOf(path), `${launch.job.key}.folded`));
    appendFileSync(`${name}.copy`, `${JSON.stringify({ running: launch.running })}\n`);
    appendFileSync(`${name}.copy`, `${JSON.stringify({ result: launch.result })}\n`);
    fold(path, [`${launch.job.key}.folded`]);
    expect(ledger.result(launch.job)).toEqual(launch.result);
  });

  it("gives the writer the new name only after the commit", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const file = writeLaunch(path, launch, "registered");
    const holder = new Database(path);
    holder.run("BEGIN IMMEDIATE");
    expect(() => fold(path)).toThrow(/locked/);
    expect(inboxNames(path)).toEqual([file.name]);
    expect(appendRunning(file, launch.running)).toBe("written");
    holder.run("ROLLBACK");
    holder.close();
    fold(path);
    expect(appendResult(file, launch.result)).toBe("folded");
    expect(finishInboxFile(file)).toBeFalse();
    expect(ledger.job(launch.job.key)?.state).toBe("running");
  });

  it("never changes what the ledger knows already", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const file = writeLaunch(path, launch, "running");
    const copy = readFileSync(join(inboxOf(path), file.name));
    fold(path);
    const running = ledger.job(launch.job.key);
    if (running?.state !== "running") throw new Error("it is not running");
    const recorded = someResult(running, { slaReason: "recorded by another" });
    ledger.recordResult(running, recorded);
    const late = `${JSON.stringify({ result: launch.result })}\n`;
    writeFileSync(join(inboxOf(path), file.name), Buffer.concat([copy, Buffer.from(late)]), { mode: 0o640 });
    fold(path);
    expect(ledger.result(running)).toEqual(recorded);
    expect(ledger.job(running.key)).toMatchObject({ state: "ended", cleanedUp: false });
    expect(inboxNames(path)).toEqual([]);
  });

  it("gives a job another id where an open job has it, and keeps both", () => {
    const { ledger, path } = open();
    const holder = someJob({ jobId: "same", process: someProcess({ pid: 1 }) });
    ledger.register(holder);
    const launch = someLaunch({ jobId: "same" });
    writeLaunch(path, launch, "running");
    const messages = fold(path);
    const otherId = `same-${launch.job.key.slice(-8)}`;
    expect(messages).toEqual([expect.stringContaining(`has the id ${otherId} now`)]);
    expect(ledger.job(holder.key)).toEqual(holder);
    expect(ledger.job(launch.job.key)).toMatchObject({ jobId: otherId, state: "running" });
    // One that has ended is in conflict with none.
    const ended = someLaunch({ jobId: "same" });
    writeLaunch(path, ended);
    expect(fold(path)).toEqual([]);
    expect(ledger.job(ended.job.key)).toMatchObject({ jobId: "same", state: "ended" });
  });

  it("keeps a job whose process another job governs as starting, until its result", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const governing = someJob({ jobId: "other", mode: "watch", process: launch.running.process });
    ledger.register(governing);
    const file = writeLaunch(path, launch, "running");
    fold(path);
    expect(ledger.job(launch.job.key)).toEqual(launch.job);
    expect(ledger.job(governing.key)).toEqual(governing);
    writeFileSync(
      join(inboxOf(path), file.name),
      [{ version: 1, job: launch.job }, { running: launch.running }, { result: launch.result }]
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(""),
      { mode: 0o640 },
    );
    fold(path);
    expect(ledger.result(launch.job)).toEqual(launch.result);
    expect(ledger.job(launch.job.key)?.process).toEqual(launch.running.process);
  });
});

describe("a file that is torn", () => {
  it("counts up to its last whole line", () => {
    const { ledger, path } = open();
    const launch = someLaunch();
    const file = writeLaunch(path, launch, "running");
    appendFileSync(join(inboxOf(path), file.name), JSON.stringify({ result: launch.result }));
    fold(path);
    expect(ledger.job(launch.job.key)?.state).toBe("running");
    expect(ledger.result(launch.job)).toBeUndefined();
  });

  it("is removed when it has no record and its writer is dead", () => {
    const { path } = open();
    const file = join(inboxOf(path), "empty.job");
    writeFileSync(file, '{"version":1,"jo', { mode: 0o640 });
    fold(path);
    expect(inboxNames(path)).toEqual(["empty.job"]);
    utimesSync(file, new Date(0), new Date(0));
    fold(path);
    expect(inboxNames(path)).toEqual([]);
  });
});

/** A change of the first line, and the reason that is reported. */
const DAMAGED: [what: string, change: (launch: PlainLaunch) => unknown, reason: RegExp][] = [
  ["is no JSON", () => "NUL\0", /JSON/],
  ["is no object", () => "[1]", /no JSON object/],
  ["has no version", ({ job }) => ({ job }), /version is undefined/],
  ["has no job", () => ({ version: 1 }), /./],
  ["has no key", ({ job }) => ({ version: 1, job: { ...job, key: 7 } }), /no valid key/],
  ["has a key that is a path", ({ job }) => ({ version: 1, job: { ...job, key: "../x" } }), /no valid key/],
  [
    "has the id of another name",
    ({ job }) => ({ version: 1, job: { ...job, jobId: "x" } }),
    /its name is not/,
  ],
  ["has another mode", ({ job }) => ({ version: 1, job: { ...job, mode: "watch" } }), /mode is watch/],
  ["has a text as time", ({ job }) => ({ version: 1, job: { ...job, createdMs: "soon" } }), /./],
  ["has labels of another type", ({ job }) => ({ version: 1, job: { ...job, labels: [1] } }), /labels/],
  ["has limits that are none", ({ job }) => ({ version: 1, job: { ...job, limits: 7 } }), /./],
  [
    "has an unknown change",
    ({ job }) => ({ version: 1, job: { ...job, changes: [{ kind: "x" }] } }),
    /changes/,
  ],
  ["has no labels", ({ job: { labels: _, ...job } }) => ({ version: 1, job }), /labels/],
];

describe("a damaged file", () => {
  for (const [what, change, reason] of DAMAGED) {
    it(`that ${what} is set aside, reported once, and stops no other one`, () => {
      const { ledger, path, messages, directory } = open();
      const launch = someLaunch();
      const sound = someLaunch();
      writeLaunch(path, sound);
      const line = change(launch);
      const text = typeof line === "string" ? line : JSON.stringify(line);
      const name = `${launch.job.jobId}.job`;
      writeFileSync(join(inboxOf(path), name), `${text}\n`, { mode: 0o640 });
      expect(ledger.openJobs()).toEqual([]);
      expect(ledger.history(10).map(({ job }) => job.key)).toEqual([sound.job.key]);
      expect(messages.join("\n")).toMatch(reason);
      expect(inboxNames(path)).toContain(`${name}.damaged`);
      const { messages: messagesNext, ledger: next } = open(directory);
      expect(next.openJobs()).toEqual([]);
      expect(messagesNext).toEqual([]);
      expect(inboxNames(path)).toEqual([`${name}.damaged`]);
    });
  }

  it.each([
    ["no JSON", "{"],
    ["a line of neither kind", "{}"],
    ["a start without a process", '{"running":{}}'],
    ["the result of another job", JSON.stringify({ result: someResult({ key: "another" }) })],
    ["a result without an ending", '{"result":{}}'],
  ])("with %s after the record of the job is a job whose rest is recovered", (_what, line) => {
    for (const suffix of [".job", ".done"]) {
      const { ledger, path, messages } = open();
      const { job } = someLaunch();
      const name = `${suffix === ".job" ? job.jobId : job.key}${suffix}`;
      const text = `${JSON.stringify({ version: 1, job })}\n${line}\n`;
      writeFileSync(join(inboxOf(path), name), text, { mode: 0o640 });
      expect(ledger.openJobs()).toEqual([job]);
      // As the recovery of a job without an ffrtmp does.
      ledger.recordResult(job, someResult(job));
      expect(ledger.job(job.key)?.state).toBe("ended");
      expect(messages).toEqual([expect.stringMatching(/is damaged .* it was set aside as .*\.damaged$/)]);
      expect(inboxNames(path)).toEqual([expect.stringMatching(/^[^/]*\.damaged$/)]);
    }
  });

  it("of a job that has ended, without its result, leaves an open job", () => {
    const { ledger, path, messages } = open();
    const { job } = someLaunch();
    const text = `${JSON.stringify({ version: 1, job })}\n`;
    writeFileSync(join(inboxOf(path), `${job.key}.done`), text, { mode: 0o640 });
    ledger.foldInbox();
    expect(messages).toEqual([expect.stringMatching(/says that the job has ended, and it has no result/)]);
    expect(ledger.openJobs()).toEqual([job]);
  });
});

describe("a file that this ffrtmp must not use", () => {
  const cases: [what: string, make: (file: string, path: string) => void, reason: RegExp][] = [
    ["that others can change", (file) => chmodSync(file, 0o662), /other users can change it/],
    ["of another user", (file) => chownSync(file, 65534, 65534), /belongs to uid 65534/],
    [
      "of a newer version",
      (file) => writeFileSync(file, '{"version":2,"record":1}\n'),
      /its version is 2, and this ffrtmp knows version 1/,
    ],
    ["that is huge", (file) => appendFileSync(file, "x".repeat(2 ** 20)), /at most 1048576 are read/],
  ];
  for (const [what, make, reason] of cases) {
    it.skipIf(!isRoot && what === "of another user")(`${what} is left alone and reported`, () => {
      const { ledger, path, messages } = open();
      const launch = someLaunch();
      const { name } = writeLaunch(path, launch, "running");
      make(join(inboxOf(path), name), path);
      expect(ledger.openJobs()).toEqual([]);
      expect(ledger.jobsNamed(launch.job.jobId)).toEqual([]);
      ledger.foldInbox();
      expect(messages).toEqual([expect.stringMatching(reason)]);
      expect(inboxNames(path)).toEqual([name]);
      expect(count(path, "jobs")).toBe(0);
    });
  }

  it("is a link, a directory or a FIFO", () => {
    const { ledger, path, messages } = open();
    const elsewhere = join(path, "../../elsewhere");
    const launch = someLaunch();
    writeFileSync(elsewhere, `${JSON.stringify({ version: 1, job: launch.job })}\n`, { mode: 0o640 });
    symlinkSync(elsewhere, join(inboxOf(path), `${launch.job.jobId}.job`));
    mkdirSync(join(inboxOf(path), "directory.job"));
    Bun.spawnSync(["mkfifo", join(inboxOf(path), "fifo.job")]);
    expect(ledger.openJobs()).toEqual([]);
    expect(messages.sort()).toEqual([
      expect.stringMatching(/directory\.job is left out: it is a directory/),
      expect.stringMatching(/fifo\.job is left out: it is a FIFO/),
      expect.stringMatching(/is left out: it is a symbolic link/),
    ]);
    expect(inboxNames(path)).toHaveLength(3);
  });

  it.skipIf(!isRoot)("is in an inbox that another user can change", () => {
    const { path, directory } = open();
    const launch = someLaunch();
    writeLaunch(path, launch);
    for (const change of [() => chmodSync(inboxOf(path), 0o777), () => chownSync(inboxOf(path), 65534, 0)]) {
      change();
      const { ledger, messages } = open(directory);
      expect(ledger.history(10)).toEqual([]);
      expect(messages).toEqual([
        expect.stringMatching(/inbox are left out: .*root uses no files that another user/),
      ]);
      expect(inboxNames(path)).toEqual([`${launch.job.key}.done`]);
      chmodSync(inboxOf(path), 0o750);
      chownSync(inboxOf(path), 0, 0);
    }
    expect(open(directory).ledger.history(10)).toHaveLength(1);
  });
});

it("thousands of files are folded in parts at the start, and read all the same", () => {
  const { path, directory } = open();
  for (let index = 0; index < 1200; index++) writeLaunch(path, someLaunch());
  const { ledger } = open(directory);
  expect(inboxNames(path)).toHaveLength(700);
  expect(ledger.history(5000)).toHaveLength(1200);
  expect(ledger.countEnded(5000)).toBe(1200);
  ledger.foldInbox();
  expect(inboxNames(path)).toEqual([]);
  expect(new Ledger(path, () => {}, "read").history(5000)).toHaveLength(1200);
});
