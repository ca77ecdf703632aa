import type { JobRecord, ResultRecord } from "../../src/ledger/records.ts";
import { UNKNOWN_USAGE } from "../../src/linux/cgroup/controller.ts";

/** Returns the record of a running job, with the given differences. */
export function someJob(different: Partial<JobRecord> = {}): JobRecord {
  return {
    key: Bun.randomUUIDv7(),
    jobId: "transcode-001",
    mode: "run",
    state: "running",
    bootId: "5c1f5a3e-0000-4000-8000-000000000000",
    pid: 4026,
    startTicks: 123_456,
    command: ["ffmpeg", "-i", "in put.mkv"],
    cwd: "/srv",
    uid: 1000,
    createdMs: 1_700_000_000_000,
    startedMs: 1_700_000_000_010,
    observer: { pid: 4025, startTicks: 123_450 },
    intent: null,
    slaEligible: false,
    tenant: null,
    labels: {},
    limits: {},
    byHand: null,
    outcomes: [],
    cgroup: [],
    touched: [],
    carriedUsage: null,
    logPath: null,
    released: false,
    ...different,
  };
}

/** Returns the result of a job that completed after 12 s. */
export function someResult(
  { key }: Pick<JobRecord, "key">,
  different: Partial<ResultRecord> = {},
): ResultRecord {
  return {
    key,
    ending: "exited",
    startMs: 1_700_000_000_010,
    endMs: 1_700_000_012_010,
    exitCode: 0,
    signal: null,
    exitEvidence: "parent",
    exitUnknownBecause: null,
    slaCompliant: true,
    slaReason: "completed_successfully",
    outcomes: [],
    usage: UNKNOWN_USAGE,
    ...different,
  };
}
