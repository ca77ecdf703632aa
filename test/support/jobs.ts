import { dirname } from "node:path";
import type { Ending, JobResult } from "../../src/jobs/model/ending.ts";
import {
  type EndedJob,
  type Job,
  type RunningJob,
  type StartingJob,
  toEnded,
} from "../../src/jobs/model/job.ts";
import { UNKNOWN_USAGE } from "../../src/limits/usage.ts";
import { formerPaths, originOf } from "../../src/linux/cgroup/jobCgroup.ts";
import type { ProcessIdentity } from "../../src/linux/proc/identity.ts";

/** The process of a job, with the differences that a test wants. */
export function someProcess(different: Partial<ProcessIdentity> = {}): ProcessIdentity {
  return { bootId: "5c1f5a3e-0000-4000-8000-000000000000", pid: 4026, startTicks: 123_456, ...different };
}

/** A running job, with the differences that a test wants. */
export function someJob(different: Partial<RunningJob> = {}): RunningJob {
  return {
    key: Bun.randomUUIDv7(),
    jobId: "transcode-001",
    mode: "run",
    state: "running",
    process: someProcess(),
    command: ["ffmpeg", "-i", "in put.mkv"],
    commandCut: false,
    decidedBy: null,
    cwd: "/srv",
    uid: 1000,
    createdMs: 1_700_000_000_000,
    startedMs: 1_700_000_000_010,
    startedBootMs: 1_234_560,
    observer: someProcess({ pid: 4025, startTicks: 123_450 }),
    intent: null,
    slaEligible: false,
    tenant: null,
    labels: {},
    limits: {},
    byHand: null,
    outcomes: [],
    cgroup: [],
    changes: [],
    carriedUsage: null,
    logPath: null,
    ...different,
  };
}

/** A job of `run` whose workload was not spawned yet. */
export function someStartingJob(different: Partial<StartingJob> = {}): StartingJob {
  const { startedMs: _, startedBootMs: __, ...rest } = someJob();
  const observer = someProcess({ pid: 4025, startTicks: 123_450 });
  return { ...rest, state: "starting", process: null, observer, ...different };
}

export function someEndedJob(different: Partial<EndedJob> = {}): EndedJob {
  return { ...toEnded(someJob()), ...different };
}

export const SUCCESS: Ending = { kind: "exited", code: 0, evidence: "parent" };

/** The result of a job that completed after 12 s. */
export function someResult({ key }: Pick<RunningJob, "key">, different: Partial<JobResult> = {}): JobResult {
  return {
    key,
    ending: SUCCESS,
    startMs: 1_700_000_000_010,
    startBootMs: 1_234_560,
    endMs: 1_700_000_012_010,
    endBootMs: 1_246_560,
    lastSeenMs: null,
    endedBeforeMs: null,
    slaCompliant: true,
    slaReason: "completed_successfully",
    outcomes: [],
    usage: UNKNOWN_USAGE,
    hinderedSeconds: null,
    ...different,
  };
}

/** The directories of a recorded job, with the paths that its journal names. */
export function directoriesOf({ cgroup, changes }: Pick<Job, "cgroup" | "changes">): {
  path: string;
  origin: string;
  tenant: string | undefined;
  formerly: string | undefined;
}[] {
  const tenants = changes.flatMap((change) =>
    change.kind === "cgroup-created" && change.role === "tenant" ? [change.path] : [],
  );
  return cgroup.map((location) => ({
    path: location.path,
    origin: originOf(changes, location),
    tenant: tenants.find((path) => path === dirname(location.path)),
    formerly: formerPaths(changes, location.hierarchy, location.path)[0],
  }));
}
