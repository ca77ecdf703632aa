import type { JobResult } from "../../jobs/model/ending.ts";
import type { RunningJob, StartingJob } from "../../jobs/model/job.ts";

// The lines of an inbox file, each one JSON object and a newline. Types only: the lean path of `run` imports this file.

/** The first line: the job as it is registered, before anything is changed for it. */
export interface RegisteredLine {
  readonly version: 1;
  readonly job: StartingJob;
}

/** The facts of the start, as `Ledger.recordRunning` takes them. An absent half of the journal stays as registered. */
export interface RunningLine {
  readonly running: Pick<RunningJob, "process" | "startedMs" | "startedBootMs" | "outcomes"> &
    Partial<Pick<RunningJob, "cgroup" | "changes">>;
}

/** The one result, after which only the removal of the job's cgroups is left. */
export interface ResultLine {
  readonly result: JobResult;
}

export type InboxLine = RegisteredLine | RunningLine | ResultLine;
