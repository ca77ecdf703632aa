import { Database } from "bun:sqlite";
import { describe, expect, it } from "bun:test";
import { someJob, someProcess, someResult, someStartingJob } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";
import { type RunningJob, toEnded } from "../jobs/model/job.ts";
import { JobConflict, Ledger } from "./ledger.ts";

const { open } = useLedgers();

const DETAILED: Partial<RunningJob> = {
  intent: "live",
  slaEligible: true,
  labels: { node: "edge 1" },
  limits: { cpuMax: { quotaUsec: "max", periodUsec: 1 }, ioMax: [{ device: "8:0", rbps: 1 }] },
  outcomes: [{ limit: "nice", outcome: "applied", wanted: "5", actual: "5" }],
  cgroup: [{ hierarchy: "cpu", path: "/a/b" }],
  changes: [
    { kind: "cgroup-created", hierarchy: "cpu", path: "/a/b", role: "job" },
    { kind: "attribute-set", attribute: "nice", pid: 1, tid: 2, startTicks: 3, before: 0, after: 5 },
  ],
  command: ["ffmpeg", "", "a\nb", "🎬'\"\\"],
};

describe("a recorded job", () => {
  it("reads back as it was written, in every state and from another process", () => {
    const { ledger, directory } = open();
    const { ledger: other } = open(directory);
    const starting = someStartingJob({ jobId: "starting" });
    ledger.register(starting);
    expect(other.job(starting.key)).toEqual(starting);
    const attaching = someStartingJob({
      jobId: "attaching",
      mode: "attach",
      process: someProcess({ pid: 7 }),
    });
    ledger.register(attaching);
    expect(other.job(attaching.key)).toEqual(attaching);
    const running = someJob(DETAILED);
    ledger.register(running);
    expect(other.job(running.key)).toEqual(running);
    const ended = ledger.recordResult(running, someResult(running));
    if (ended === "already ended") throw new Error("the job has no result yet");
    expect(other.job(running.key)).toEqual(ended);
    const cleanedUp = ledger.markCleanedUp(ended);
    expect(cleanedUp).toEqual({ ...toEnded(running), changes: [], cleanedUp: true });
    expect(other.job(running.key)).toEqual(cleanedUp);
  });

  it("is the same object while its row stays as it is, and another one after a change, also by another process", () => {
    const { ledger, directory } = open();
    const { ledger: other } = open(directory);
    const changing = someJob({ ...DETAILED, jobId: "changing" });
    const staying = someJob({ jobId: "staying", process: someProcess({ pid: 7 }) });
    ledger.register(changing);
    ledger.register(staying);
    const first = ledger.openJobs();
    expect(first).toEqual([changing, staying]);
    expect(ledger.openJobs()).toEqual([changing, staying]);
    expect(ledger.openJobs()[0]).toBe(first[0]);

    const outcomes = [{ limit: "nice", outcome: "applied", wanted: "6", actual: "6" } as const];
    other.recordOutcomes(changing, outcomes);
    const second = ledger.openJobs();
    expect(second).toEqual([{ ...changing, outcomes }, staying]);
    expect(second[1]).toBe(first[1]);

    other.recordResult(staying, someResult(staying));
    expect(ledger.openJobs()).toEqual([{ ...changing, outcomes }]);
  });

  it("changes in the named fields only, and leaves the value from before as it was", () => {
    const { ledger } = open();
    const job = someStartingJob();
    const before = structuredClone(job);
    ledger.register(job);
    const facts = {
      process: someProcess({ pid: 7, startTicks: 8 }),
      startedMs: 9,
      startedBootMs: 10,
      outcomes: [],
    };
    const running = ledger.recordRunning(job, facts);
    expect(running).toMatchObject({ state: "running", process: { pid: 7, startTicks: 8 }, startedMs: 9 });
    expect(job).toEqual(before);
    expect(ledger.job(job.key)).toEqual(running);
  });

  it("keeps every change of its details", () => {
    const { ledger, directory } = open();
    let job = someJob();
    ledger.register(job);
    const { cgroup = [], changes = [], outcomes = [] } = DETAILED;
    const carriedUsage = { ...someResult(job).usage, cpuUserUsec: 5 };
    job = ledger.recordSpec(job, {
      byHand: { pidsMax: 5 },
      tenant: "acme",
      labels: { a: "b" },
      intent: "live",
    });
    job = ledger.recordJournal(job, { cgroup, changes });
    job = ledger.recordOutcomes(job, outcomes);
    job = ledger.recordCarriedUsage(job, carriedUsage);
    expect(open(directory).ledger.job(job.key)).toEqual(job);
    job = ledger.recordMigration(job, { cgroup: [], changes, carriedUsage: null });
    job = ledger.recordSpec(job, { byHand: null });
    expect(open(directory).ledger.job(job.key)).toEqual(job);
    expect(job).toMatchObject({ byHand: null, tenant: "acme", changes, cgroup: [], carriedUsage: null });
  });

  it("keeps its id from other jobs until it has ended", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.register(first);
    const second = someJob({ process: someProcess({ pid: 5000 }) });
    expect(() => ledger.register(second)).toThrow(JobConflict);
    expect(ledger.job(second.key)).toBeUndefined();
    ledger.recordResult(first, someResult(first));
    ledger.register(second);
    expect(
      ledger
        .jobsNamed("transcode-001")
        .map(({ state }) => state)
        .sort(),
    ).toEqual(["ended", "running"]);
  });

  it("is found by its id among a hundred later ones that have ended, after the clock was set back", () => {
    const { ledger } = open();
    for (let pid = 1; pid <= 150; pid++) {
      const job = someJob({ process: someProcess({ pid }), createdMs: 1000 + pid });
      ledger.register(job);
      ledger.recordResult(job, someResult(job));
    }
    const current = someJob({ process: someProcess({ pid: 151 }), createdMs: 5 });
    ledger.register(current);
    const named = ledger.jobsNamed(current.jobId);
    expect(named.map(({ createdMs }) => createdMs)).toEqual([
      ...Array.from({ length: 100 }, (_, index) => 1150 - index),
      5,
    ]);
    expect(named.at(-1)).toEqual(current);
  });

  it("keeps its process from other jobs while it runs", () => {
    const { ledger } = open();
    ledger.register(someJob());
    const other = someStartingJob({ jobId: "other" });
    ledger.register(other);
    const facts = { process: someProcess(), startedMs: 1, startedBootMs: 1, outcomes: [] };
    expect(() => ledger.recordRunning(other, facts)).toThrow(JobConflict);
    expect(ledger.job(other.key)).toEqual(other);
    ledger.recordRunning(other, { ...facts, process: someProcess({ startTicks: 999 }) });
  });

  it("is found by its process in this boot only", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.register(job);
    expect(ledger.openJobOfProcess(someProcess())?.key).toBe(job.key);
    expect(ledger.openJobOfProcess(someProcess({ startTicks: 123_457 }))).toBeUndefined();
    expect(ledger.openJobOfProcess(someProcess({ bootId: "another boot" }))).toBeUndefined();
  });
});

describe("an observer", () => {
  it("takes a job over only from the observer that it read", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.register(job);
    const first = someProcess({ pid: 1, startTicks: 1 });
    const taken = ledger.takeOver(job, first);
    expect(taken).toEqual({ ...job, observer: first });
    const second = someProcess({ pid: 2, startTicks: 2 });
    expect(open(directory).ledger.takeOver(job, second)).toBeUndefined();
    expect(ledger.job(job.key)).toEqual({ ...job, observer: first });
    expect(ledger.takeOver(taken as RunningJob, null)).toEqual({ ...job, observer: null });
    expect(ledger.job(job.key)).toEqual({ ...job, observer: null });
  });

  it("takes over no job that has ended", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.register(job);
    ledger.recordResult(job, someResult(job));
    expect(ledger.takeOver(job, someProcess({ pid: 1, startTicks: 1 }))).toBeUndefined();
  });
});

describe("the remains of an ended job in the system", () => {
  it("belong to a new job of the same name, so that only that one removes them", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.register(first);
    ledger.recordResult(first, someResult(first));
    expect(ledger.jobsToCleanUp().map(({ key }) => key)).toEqual([first.key]);
    expect(ledger.endedJobsToCleanUp().map(({ key }) => key)).toEqual([first.key]);
    const second = someJob();
    ledger.register(second);
    expect(ledger.jobsToCleanUp().map(({ key }) => key)).toEqual([second.key]);
  });
});

describe("events and notes", () => {
  it("are read in their order, with their details", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.register(job);
    ledger.addEvent(job, { atMs: 5, kind: "observer_died", detail: {} });
    ledger.addEvent(job, { atMs: 4, kind: "adopted", detail: { because: "a\nb" } });
    expect(ledger.events(job)).toEqual([
      { atMs: 5, kind: "observer_died", detail: {} },
      { atMs: 4, kind: "adopted", detail: { because: "a\nb" } },
    ]);
    ledger.setNote("scanned", "yes");
    ledger.setNote("scanned", "again");
    expect(ledger.note("scanned")).toBe("again");
    expect(ledger.note("other")).toBeUndefined();
  });

  it("keep the name and the detail of a kind that this version does not know", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.register(job);
    const db = new Database(path);
    for (const [kind, detail] of [
      ["paused", '{"by":7}'],
      ["toString", "null"],
      ["last_gone", "{}"],
    ] as const)
      db.run("INSERT INTO events (key, at_ms, kind, detail) VALUES (?, 1, ?, ?)", [job.key, kind, detail]);
    db.close();
    expect(ledger.events(job)).toEqual([
      { atMs: 1, kind: "other", name: "paused", detail: { by: 7 } },
      { atMs: 1, kind: "other", name: "toString", detail: null },
      { atMs: 1, kind: "other", name: "last_gone", detail: {} },
    ]);
  });

  it("record that an operator released a process, until the policy releases it", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.register(job);
    ledger.recordResult(job, someResult(job, { ending: { kind: "detached" } }));
    expect(ledger.wasDetached(someProcess())).toBe(true);
    expect(ledger.wasDetached(someProcess({ startTicks: 1 }))).toBe(false);
    ledger.addEvent(job, { atMs: 6, kind: "released_by_policy", detail: { because: "x" } });
    expect(ledger.wasDetached(someProcess())).toBe(false);
  });

  it("record that an operator returned a released process to the policy", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.register(job);
    ledger.recordResult(job, someResult(job, { ending: { kind: "detached" } }));
    const { last } = ledger.returnedAfter(0);
    expect(ledger.returnToPolicy(someProcess(), { atMs: 6 })).toBe(true);
    expect(ledger.wasDetached(someProcess())).toBe(false);
    expect(ledger.returnToPolicy(someProcess(), { atMs: 6 })).toBe(false);
    expect(ledger.returnedAfter(last)).toEqual({ pids: [someProcess().pid], last: last + 1 });
    expect(ledger.returnedAfter(last + 1).pids).toEqual([]);
  });

  it("add the changes of others to a job, and leave a job that only waits to be written", () => {
    const { ledger, path } = open();
    const job = someJob();
    ledger.register(job);
    expect(ledger.refresh(job)).toBe(job);
    const changed = new Ledger(path, console.log).recordSpec(job, { byHand: { pidsMax: 5 }, tenant: "acme" });
    expect(ledger.refresh(job)).toEqual(changed);
    const unwritten = someJob({ key: "unwritten", tenant: "acme" });
    expect(ledger.refresh(unwritten)).toEqual(unwritten);
  });
});

describe("a row that is in no state of a job", () => {
  const cases: [change: string, reason: string][] = [
    ["state = 'running', pid = NULL, start_ticks = NULL", "it is running, but names no process"],
    ["state = 'running', start_ticks = NULL", "pid is 4026, but start_ticks is null"],
    ["state = 'running', pid = NULL", "start_ticks is 123456, but pid is null"],
    ["state = 'running', started_ms = NULL", "it is running, but has no start time"],
    ["state = 'running', released = 1", "it is running, but marked as cleaned up"],
    ["state = 'starting'", "it is starting, but has a start time"],
    [
      "state = 'starting', started_ms = NULL, observer_pid = NULL, observer_start_ticks = NULL",
      "it is starting, but names no ffrtmp that starts it",
    ],
    ["state = 'ended'", "it has ended, but names an observer"],
    ["labels = 'no JSON'", "labels is no JSON"],
    ["outcomes = '{}'", "outcomes is no JSON array"],
    ["limits = '[]'", "limits is no JSON object"],
  ];
  for (const [change, reason] of cases) {
    it(`is left out, reported once and never rewritten: ${reason}`, () => {
      const { ledger, path, messages } = open();
      const sound = someJob({ jobId: "sound", process: someProcess({ pid: 1 }) });
      const job = someJob();
      ledger.register(sound);
      ledger.register(job);
      const db = new Database(path);
      db.run(`UPDATE jobs SET ${change} WHERE key = ?`, [job.key]);
      const row = () => db.query("SELECT * FROM jobs WHERE key = ?").get(job.key);
      const before = row();
      expect(ledger.openJobs()).toEqual([sound]);
      expect(ledger.jobsToCleanUp()).toEqual([sound]);
      expect(ledger.job(job.key)).toBeUndefined();
      expect(ledger.jobsNamed(job.jobId)).toEqual([]);
      expect(messages).toHaveLength(1);
      expect(messages[0]).toStartWith(`ledger row ${job.key} is inconsistent: ${reason}. `);
      expect(row()).toEqual(before);
      db.close();
    });
  }

  it("is left out of the history with its result", () => {
    const { ledger, path, messages } = open();
    const jobs = ["sound", "odd"].map((jobId, index) => {
      const job = someJob({ jobId, process: someProcess({ pid: index + 1 }) });
      ledger.register(job);
      return job;
    }) as [RunningJob, RunningJob];
    ledger.recordResult(jobs[0], someResult(jobs[0]));
    const db = new Database(path);
    db.run(
      `INSERT INTO results (key, ending, end_ms, exit_code, signal, exit_evidence, sla_compliant, sla_reason, outcomes, usage)
       VALUES (?, 'exited', 1, 1, 'SIGKILL', 'parent', 1, '', '[]', '{}')`,
      [jobs[1].key],
    );
    db.close();
    expect(ledger.history(10).map(({ job }) => job.jobId)).toEqual(["sound"]);
    expect(ledger.result(jobs[1])).toBeUndefined();
    expect(messages).toEqual([
      expect.stringContaining(
        `ledger row ${jobs[1].key} is inconsistent: the columns of its ending contradict`,
      ),
    ]);
  });
});
