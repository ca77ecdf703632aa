import { describe, expect, it } from "bun:test";
import { basename, dirname } from "node:path";
import { useLedgers } from "../../test/support/ledgers.ts";
import {
  copyRecordedLedger,
  type Expected,
  type Json,
  RECORDED_LEDGERS,
  type RecordedName,
  type SqlRow,
} from "../../test/support/recordedLedgers.ts";
import { eventJson, jobJson, resultJson } from "../jobs/json.ts";
import { changeKey } from "../linux/change.ts";
import { realHost } from "../linux/host.ts";
import type { Directory010, Touched010 } from "./journalOf010.ts";
import { Ledger } from "./ledger.ts";
import { locateState } from "./location.ts";
import { Outbox } from "./outbox.ts";
import { compact, prune } from "./prune.ts";
import { readLedgerFile } from "./readOnly.ts";

const { freshDirectory } = useLedgers();

function openRecorded(name: RecordedName): { ledger: Ledger; expected: Expected; messages: string[] } {
  const { path, expected } = copyRecordedLedger(name, freshDirectory());
  const messages: string[] = [];
  return { ledger: new Ledger(path, (message) => messages.push(message)), expected, messages };
}

describe.each([...RECORDED_LEDGERS])("the recorded ledger %s", (name) => {
  it("opens without a warning", () => {
    const { ledger, expected, messages } = openRecorded(name);
    expect(ledger.openJobs().length).toBeGreaterThan(3);
    expect(expected.recorded.schema_version).toBe(2);
    expect(ledger.unreadableBecause).toBeUndefined();
    expect(messages).toEqual([]);
  });

  it("can be pruned and compacted, and keeps the jobs that are open or not cleaned up", () => {
    const { ledger } = openRecorded(name);
    const before = ledger.jobsToCleanUp();
    const state = locateState(ledger.path, {});
    const retention = { maxAgeMs: 0, maxBytes: Number.POSITIVE_INFINITY };
    const pass = prune({ host: realHost(), state, retention, nowMs: Date.now(), countLogs: true });
    while (!pass.next().done);
    compact(state);
    expect(ledger.jobsToCleanUp()).toEqual(before);
    const left = new Set(before.map(({ key }) => key));
    expect(ledger.history(1000).filter(({ job }) => !left.has(job.key))).toEqual([]);
  });

  it("has numbers for its results, in the order of their ends", () => {
    const { ledger } = openRecorded(name);
    const ended = ledger.history(1000).map(({ result }) => result.endMs);
    const numbered = readLedgerFile(ledger.path, (db) => new Outbox(db).after(0, 1000));
    expect(numbered.map(({ seq }) => seq)).toEqual(ended.map((_, index) => index + 1));
    expect(numbered.flatMap((each) => ("result" in each ? each.result.endMs : []))).toEqual(ended.reverse());
  });

  it("has the open jobs that `ps` listed", () => {
    const { ledger, expected } = openRecorded(name);
    expect<unknown>(ledger.openJobs().map((job) => jobJson(job))).toEqual(expected.ps.map(withNewJobKeys));
  });

  it("has the results that `history` listed, in the same order", () => {
    const { ledger, expected } = openRecorded(name);
    const found = ledger.history(50).map(({ job, result }) => resultJson(job, result));
    expect<unknown>(found).toEqual(expected.history.map((each) => asPrintedNow(each, expected)));
  });

  it("has the job, the result and the events that `inspect` printed for each job id", () => {
    const { ledger, expected } = openRecorded(name);
    for (const [jobId, { processes, usage, result, events, ...job }] of Object.entries(expected.inspect)) {
      const [found] = ledger.jobsNamed(jobId);
      if (!found) throw new Error(`no job ${jobId}`);
      const foundResult = ledger.result(found);
      expect<unknown>({
        ...jobJson(found),
        result: foundResult ? resultJson(found, foundResult) : null,
        events: ledger.events(found).map(eventJson),
      }).toEqual({
        ...withNewJobKeys(job),
        result: result && asPrintedNow(result, expected),
        events,
      });
    }
  });

  it("has what the rows contain and `--json` does not show: identities, locations and journals", () => {
    const { ledger, expected } = openRecorded(name);
    const { jobs } = expected.rows;
    expect(jobs.map(({ key }) => ledger.job(String(key)))).toMatchObject(jobs.map(storedFields));
    const unreleased = jobs.filter(({ released }) => released === 0);
    expect(ledger.jobsToCleanUp().map(({ key }) => key)).toEqual(unreleased.map(({ key }) => String(key)));
    for (const row of unreleased) {
      const job = ledger.job(String(row["key"]));
      expect(new Set(job?.changes.map(changeKey))).toEqual(new Set(keysToUndo(row)));
    }
  });

  it("shares the controllers that its jobs enabled", () => {
    const { ledger, expected } = openRecorded(name);
    const unreleased = expected.rows.jobs.filter(({ released }) => released === 0);
    const keys = unreleased.flatMap(keysToUndo).filter((key) => key.startsWith("controller-enabled"));
    expect(ledger.sharedChanges()).toEqual(new Set(keys));
  });

  it("opens again after the conversion", () => {
    const { ledger } = openRecorded(name);
    expect(new Ledger(ledger.path, console.log).jobsToCleanUp()).toEqual(ledger.jobsToCleanUp());
  });
});

/** Adds the keys that ffrtmp 0.1.0 did not print. It recorded every command whole. */
function withNewKeys(printed: Record<string, unknown>): Record<string, unknown> {
  return { ...printed, command_cut: false, command_masked: false };
}

/** It did not record what of the policy had chosen a process. */
function withNewJobKeys(printed: Record<string, unknown>): Record<string, unknown> {
  return { ...withNewKeys(printed), decided_by: null, rule: null };
}

/** Adds what is printed since 0.1.0, which measured by the wall clock and took the time of the record for that of an unobserved end. */
function asPrintedNow(result: Json, { rows }: Expected): Json {
  const { ending, end_time: recorded, processing_seconds: seconds } = result;
  const isSeen = ending !== "unobserved";
  const isDetached = ending === "detached";
  return {
    ...withNewKeys(result),
    end_time: isSeen ? recorded : null,
    last_seen: null,
    ended_before: isSeen ? null : recorded,
    processing_seconds: isSeen ? seconds : null,
    runtime_seconds: isSeen && !isDetached ? seconds : null,
    runtime_at_most_seconds: isDetached ? null : seconds,
    runtime_at_least_seconds: isSeen ? seconds : null,
    duration_clock: seconds === null ? null : "wall",
    outcome: outcomeOf(result),
    hindered_seconds: null,
    usage: withPartialPeak(result, rows.jobs),
  };
}

/** A workload that ffrtmp did not start may have had memory before, unless it was governed where that is charged. */
function withPartialPeak({ mode, usage, job_id, pid }: Json, jobs: readonly SqlRow[]): Json {
  const counted = usage as Json;
  const row = jobs.find((job) => job["job_id"] === job_id && job["pid"] === pid);
  const isInPlace = String(row?.["cgroup"]).includes('"in-place"');
  const isPartial = mode !== "run" && !isInPlace && counted["memory_peak_bytes"] !== null;
  return {
    ...counted,
    memory_peak_partial: isPartial,
    memory_peak_partial_because: isPartial ? "charged elsewhere before it was governed" : null,
  };
}

function outcomeOf({ ending, exit_code: code, signal }: Json): string {
  if (signal !== null) return "killed";
  if (code !== null) return code === 0 ? "succeeded" : "failed";
  return ending === "never_started" ? "failed" : "unknown";
}

/** Reads the columns themselves, so that the test does not compare the reading code with itself. */
function storedFields(row: SqlRow): Record<string, unknown> {
  const json = (column: string): unknown => JSON.parse(String(row[column]));
  const identity = (pid: string, startTicks: string): unknown =>
    row[pid] === null ? null : { pid: row[pid], startTicks: row[startTicks] };
  const isOpen = row["state"] !== "ended";
  return {
    key: row["key"],
    state: row["state"],
    process: identity("pid", "start_ticks"),
    createdMs: row["created_ms"],
    limits: json("limits"),
    byHand: json("by_hand"),
    cgroup: directoriesOf(row).map(({ hierarchy, path }) => ({ hierarchy, path })),
    carriedUsage: json("carried_usage"),
    ...(isOpen
      ? { observer: identity("observer_pid", "observer_start_ticks") }
      : { cleanedUp: row["released"] === 1 }),
  };
}

function directoriesOf(row: SqlRow): Directory010[] {
  return JSON.parse(String(row["cgroup"]));
}

/** Returns the keys of everything that must be undone according to a row of ffrtmp 0.1.0. */
function keysToUndo(row: SqlRow): string[] {
  const touched: Touched010[] = JSON.parse(String(row["touched"]));
  const directories = directoriesOf(row).flatMap((directory) => {
    const { path, origin, placedAs, tenant, launchGroup } = directory;
    const base = placedAs === "scope" ? dirname(path) : origin;
    const above = directory.enabledAbove ?? [];
    return [
      ...above.flatMap((level) =>
        level.controllers.map((name) => `controller-enabled ${level.path} ${name}`),
      ),
      ...directory.enabled.map((name) => `controller-enabled ${base} ${name}`),
      ...[tenant, launchGroup].flatMap((each) => (each === undefined ? [] : [`cgroup-created ${each}`])),
      ...(placedAs === "in-place" ? [] : [`cgroup-created ${path}`, `processes-moved ${origin} ${path}`]),
      ...(directory.heldBefore ?? []).map(({ file }) => `file-written ${path}/${file}`),
    ];
  });
  const scopes = directoriesOf(row)
    .flatMap(({ path, origin }) => [basename(origin), basename(dirname(path))])
    .filter((unit) => /^ffrtmp-.*\.scope$/.test(unit));
  return [
    ...new Set(scopes.map((unit) => `scope-started system ${unit}`)),
    ...directories,
    ...touched.map(({ value, tid, startTicks }) => `attribute-set ${value} ${tid} ${startTicks}`),
  ];
}
