import { describe, expect, it } from "bun:test";
import { useLedgers } from "../../test/fixtures/ledgers.ts";
import {
  copyRecordedLedger,
  type Expected,
  RECORDED_LEDGERS,
  type RecordedName,
  type SqlRow,
} from "../../test/support/recordedLedgers.ts";
import { eventJson, jobJson, resultJson } from "../report/json.ts";
import { Ledger } from "./ledger.ts";
import type { JobRecord } from "./records.ts";

const { freshDirectory } = useLedgers();

function openRecorded(name: RecordedName): { ledger: Ledger; expected: Expected; messages: string[] } {
  const { path, expected } = copyRecordedLedger(name, freshDirectory());
  const messages: string[] = [];
  return { ledger: new Ledger(path, (message) => messages.push(message)), expected, messages };
}

describe.each([...RECORDED_LEDGERS])("the recorded ledger %s", (name) => {
  it("opens without a complaint", () => {
    const { ledger, expected, messages } = openRecorded(name);
    expect(ledger.openJobs().length).toBeGreaterThan(3);
    expect(expected.recorded.schema_version).toBe(2);
    expect(ledger.unreadableBecause).toBeUndefined();
    expect(messages).toEqual([]);
  });

  it("has the open jobs that `ps` listed", () => {
    const { ledger, expected } = openRecorded(name);
    expect(ledger.openJobs().map(jobJson)).toEqual(expected.ps);
  });

  it("has the results that `history` listed, in the same order", () => {
    const { ledger, expected } = openRecorded(name);
    expect(ledger.history(50).map(({ job, result }) => resultJson(job, result))).toEqual(expected.history);
  });

  it("has the job, the result and the events that `inspect` printed for each job id", () => {
    const { ledger, expected } = openRecorded(name);
    for (const [jobId, { processes, usage, result, events, ...job }] of Object.entries(expected.inspect)) {
      const [found] = ledger.jobsNamed(jobId);
      if (!found) throw new Error(`no job ${jobId}`);
      const foundResult = ledger.result(found);
      expect({
        ...jobJson(found),
        result: foundResult ? resultJson(found, foundResult) : null,
        events: ledger.events(found).map(eventJson),
      }).toEqual({ ...job, result, events });
    }
  });

  it("has what the rows say and `--json` does not: identities, cgroups, and the values to restore", () => {
    const { ledger, expected } = openRecorded(name);
    const { jobs } = expected.rows;
    expect(jobs.map(({ key }) => ledger.job(String(key)))).toMatchObject(jobs.map(storedFields));
    const unreleased = jobs.filter(({ released }) => released === 0).map(({ key }) => key);
    expect(ledger.unreleasedJobs().map(({ key }) => key)).toEqual(unreleased as string[]);
  });
});

/** Read from the columns themselves, so that a test does not compare the reading code with itself. */
function storedFields(row: SqlRow): Partial<JobRecord> {
  const json = <T>(column: string): T => JSON.parse(String(row[column])) as T;
  return {
    key: row["key"] as string,
    state: row["state"] as JobRecord["state"],
    bootId: row["boot_id"] as string,
    pid: row["pid"] as number | null,
    startTicks: row["start_ticks"] as number | null,
    createdMs: row["created_ms"] as number,
    observer:
      row["observer_pid"] === null
        ? null
        : { pid: row["observer_pid"] as number, startTicks: row["observer_start_ticks"] as number },
    limits: json("limits"),
    byHand: json("by_hand"),
    cgroup: json("cgroup"),
    touched: json("touched"),
    carriedUsage: json("carried_usage"),
    released: row["released"] === 1,
  };
}
