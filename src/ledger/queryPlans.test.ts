import { Database } from "bun:sqlite";
import { expect, spyOn, test } from "bun:test";
import { someJob, someProcess, someResult, someStartingJob } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";
import type { EndedJob } from "../jobs/model/job.ts";
import type { HistoryFilter } from "./endedJobs.ts";
import { Ledger } from "./ledger.ts";
import { RecordedJobs } from "./recordedJobs.ts";

const { open } = useLedgers();

/** Indexes that grow with the open jobs, or with those that are not cleaned up, and so may be read whole. */
const SMALL_INDEXES = ["jobs_open_id", "jobs_open_process", "jobs_not_cleaned_up"];
const ONE_ROW = "SCAN identity";
/** `history` reads the first rows of these indexes, in their order, and `countEnded` counts them. */
const LIMITED = /^SCAN results USING (?:COVERING )?INDEX results_(by_end|not_succeeded|violating)$/;

const PERIOD = { sinceMs: 1, untilMs: 2 };
/** The filters of `history`, with the index that finds the jobs. */
const FILTERS: [filter: HistoryFilter, step: string][] = [
  [{}, "SCAN results USING INDEX results_by_end"],
  [PERIOD, "SEARCH results USING INDEX results_by_end (end_ms>? AND end_ms<?)"],
  [{ onlyFailed: true }, "SCAN results USING INDEX results_not_succeeded"],
  [
    { ...PERIOD, onlyFailed: true },
    "SEARCH results USING INDEX results_not_succeeded (end_ms>? AND end_ms<?)",
  ],
  [{ onlyViolations: true }, "SCAN results USING INDEX results_violating"],
  [
    { ...PERIOD, onlyViolations: true },
    "SEARCH results USING INDEX results_violating (end_ms>? AND end_ms<?)",
  ],
  [
    { onlyViolations: true, before: { endMs: 1, key: "x" } },
    "SEARCH results USING INDEX results_violating (end_ms<?)",
  ],
  [{ before: { endMs: 1, key: "x" } }, "SEARCH results USING INDEX results_by_end (end_ms<?)"],
  [
    { onlyFailed: true, before: { endMs: 1, key: "x" } },
    "SEARCH results USING INDEX results_not_succeeded (end_ms<?)",
  ],
  [{ tenant: "acme" }, "SEARCH jobs USING COVERING INDEX jobs_by_tenant (tenant=?)"],
  [{ ...PERIOD, tenant: "acme" }, "SEARCH results USING INDEX results_by_end (end_ms>? AND end_ms<?)"],
  [{ jobId: "transcode-001" }, "SEARCH jobs USING INDEX jobs_by_id (job_id=?)"],
  [
    { ...PERIOD, jobId: "x", tenant: "y", onlyFailed: true, onlyViolations: true },
    "SEARCH jobs USING INDEX jobs_by_id (job_id=?)",
  ],
];

const process = someProcess();

/** A call of each method that executes statements. */
const CALLS: Record<string, (ledger: Ledger) => unknown> = {
  register: (ledger) => ledger.register(someJob()),
  registerOnce: (ledger) => ledger.registerOnce(someJob()),
  retireId: (ledger) => ledger.retireId("transcode-002"),
  usedOnceMs: (ledger) => ledger.usedOnceMs("transcode-001"),
  recordRunning: (ledger) =>
    ledger.recordRunning(someStartingJob(), {
      process,
      startedMs: 1,
      startedBootMs: 1,
      outcomes: [],
      cgroup: [],
      changes: [],
    }),
  continueFromInbox: (ledger) => ledger.continueFromInbox({ job: someStartingJob() }),
  recordSpec: (ledger) => ledger.recordSpec(someJob(), { limits: {}, labels: {}, intent: "live" }),
  recordOutcomes: (ledger) => ledger.recordOutcomes(someJob(), []),
  recordJournal: (ledger) => ledger.recordJournal(someJob(), { cgroup: [], changes: [] }),
  recordGates: (ledger) => ledger.recordGates(someJob(), []),
  recordCarriedUsage: (ledger) => ledger.recordCarriedUsage(someJob(), null),
  recordMigration: (ledger) =>
    ledger.recordMigration(someJob(), { cgroup: [], changes: [], carriedUsage: null }),
  sharedChanges: (ledger) => ledger.sharedChanges({ except: "key" }),
  markCleanedUp: (ledger) => ledger.markCleanedUp({ ...someJob(), state: "ended" } as unknown as EndedJob),
  recordResult: (ledger) => ledger.recordResult(someJob(), someResult(someJob())),
  takeOver: (ledger) => ledger.takeOver(someJob(), process),
  recordUsageHistory: (ledger) => ledger.recordUsageHistory(someJob(), new Uint8Array(1)),
  usageHistory: (ledger) => ledger.usageHistory(someJob()),
  hinderedTimes: (ledger) => ledger.hinderedTimes(someJob()),
  addEvent: (ledger) => ledger.addEvent(someJob(), { atMs: 1, kind: "observer_died", detail: {} }),
  addDaemonEvent: (ledger) => ledger.addDaemonEvent("daemon_started", {}, 1),
  versionOfOthers: (ledger) => ledger.versionOfOthers(),
  job: (ledger) => ledger.job("key"),
  refresh: (ledger) => ledger.refresh(someJob()),
  openJobs: (ledger) => ledger.openJobs(),
  openJobsWithIntent: (ledger) => ledger.openJobsWithIntent(),
  openJobsInPlace: (ledger) => ledger.openJobsInPlace(),
  jobsToCleanUp: (ledger) => ledger.jobsToCleanUp(),
  endedJobsToCleanUp: (ledger) => ledger.endedJobsToCleanUp(),
  jobsNamed: (ledger) => ledger.jobsNamed("transcode-001"),
  openJobOfProcess: (ledger) => ledger.openJobOfProcess(process),
  jobBeingStartedBy: (ledger) => ledger.jobBeingStartedBy("boot", 1),
  isObserver: (ledger) => ledger.isObserver(process),
  wasDetached: (ledger) => ledger.wasDetached(process),
  returnToPolicy: (ledger) => ledger.returnToPolicy(process, { atMs: 1 }),
  returnedAfter: (ledger) => ledger.returnedAfter(-1),
  result: (ledger) => ledger.result(someJob()),
  history: (ledger) => FILTERS.map(([filter]) => ledger.history(50, filter)),
  countUnknownExits: (ledger) => ledger.countUnknownExits(PERIOD),
  verdicts: (ledger) => [{}, { tenant: "acme" }].map((each) => ledger.verdicts({ ...PERIOD, ...each })),
  countEnded: (ledger) => ledger.countEnded(50),
  events: (ledger) => ledger.events(someJob()),
  latestEvents: (ledger) => ledger.latestEvents(someJob(), 10),
  latestOfAll: (ledger) => ledger.latestOfAll(10),
  note: (ledger) => ledger.note("name"),
  renewIdentity: (ledger) => ledger.renewIdentity(),
  setNote: (ledger) => ledger.setNote("name", "value"),
};

test("every method of the ledger has a call here", () => {
  const executesNothing = ["constructor", "checkJobs"];
  const methods = [RecordedJobs, Ledger]
    .flatMap(({ prototype }) => Object.getOwnPropertyNames(prototype))
    .filter((name) => !executesNothing.includes(name));
  expect(Object.keys(CALLS).sort()).toEqual(methods.sort());
});

test.each(Object.entries(CALLS))("%s reads no table as a whole", (_name, call) => {
  const { ledger, path } = open();
  const statements = statementsOf(() => call(ledger));
  expect(statements).not.toEqual([]);
  expect(statements.flatMap((sql) => stepsOf(path, sql)).filter(readsAll)).toEqual([]);
});

test.each(FILTERS)("history finds the jobs of %j by an index", (filter, step) => {
  const { ledger, path } = open();
  for (const sql of statementsOf(() => ledger.history(50, filter)))
    expect(stepsOf(path, sql)).toContain(step);
});

test("the triggers read no table as a whole, and find few jobs of an id that many jobs had", () => {
  const { path } = open();
  const db = new Database(path);
  const triggers = db
    .query<{ sql: string }, []>("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")
    .all();
  db.close();
  const statements = triggers.flatMap(({ sql }) =>
    (sql.split(/\bBEGIN\b/)[1] ?? "").split(";").filter((text) => /^\s*(UPDATE|DELETE|INSERT)\b/.test(text)),
  );
  const plans = statements.map((text) => stepsOf(path, text.replace(/\b(NEW|OLD)\.\w+/g, "?")));
  expect(plans).toContainEqual(["SEARCH jobs USING INDEX jobs_not_cleaned_up (job_id=?)"]);
  expect(plans.flat().filter(readsAll)).toEqual([]);
});

function statementsOf(action: () => unknown): string[] {
  const query = spyOn(Database.prototype, "query");
  try {
    action();
    return query.mock.calls.map(([sql]) => sql);
  } finally {
    query.mockRestore();
  }
}

/** Returns the steps of SQLite's plan of a statement. */
function stepsOf(path: string, sql: string): string[] {
  const db = new Database(path);
  const steps = db.query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${sql}`).all();
  db.close();
  return steps.map(({ detail }) => detail);
}

/** Returns true for a step that reads a whole table, or a whole index that grows with the history. */
function readsAll(step: string): boolean {
  // The rows of a subquery come from steps of their own.
  if (!step.startsWith("SCAN ") || step.startsWith("SCAN (") || step === ONE_ROW || LIMITED.test(step))
    return false;
  return !SMALL_INDEXES.some((name) => step.endsWith(` USING INDEX ${name}`));
}
