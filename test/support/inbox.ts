import { mkdirSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { JobResult } from "../../src/jobs/model/ending.ts";
import type { StartingJob } from "../../src/jobs/model/job.ts";
import {
  appendResult,
  appendRunning,
  createInboxFile,
  finishInboxFile,
  type InboxFile,
} from "../../src/ledger/inbox/inboxFile.ts";
import type { RunningLine } from "../../src/ledger/inbox/inboxLines.ts";
import { someProcess, someResult, someStartingJob } from "./jobs.ts";

let lastPid = 5000;

/** The record of a plain launch of its own process, as the lean path of `run` writes it. */
export interface PlainLaunch {
  job: StartingJob;
  running: RunningLine["running"];
  result: JobResult;
}

/** Returns a launch with an id and a process that no other one has. */
export function someLaunch(different: Partial<StartingJob> = {}): PlainLaunch {
  const pid = ++lastPid;
  const job = someStartingJob({ jobId: `plain-${pid}`, ...different });
  const running = {
    process: someProcess({ pid }),
    startedMs: 1_700_000_000_010,
    startedBootMs: 1_234_560,
    outcomes: [{ limit: "nice", outcome: "applied", wanted: "5", actual: "5" } as const],
    cgroup: [{ hierarchy: "cpu", path: `/sys/fs/cgroup/cpu/${job.jobId}` }],
    changes: [
      {
        kind: "cgroup-created",
        hierarchy: "cpu",
        path: `/sys/fs/cgroup/cpu/${job.jobId}`,
        role: "job",
      } as const,
    ],
  };
  return { job, running, result: someResult(job) };
}

/** The steps of a launch, in their order. */
export const STEPS = ["registered", "running", "result", "finished"] as const;

/** Does the steps of a launch up to one of them, in the inbox beside a ledger. */
export function writeLaunch(
  ledgerPath: string,
  launch: PlainLaunch,
  last: (typeof STEPS)[number] = "finished",
): InboxFile {
  const directory = inboxOf(ledgerPath);
  mkdirSync(directory, { recursive: true });
  const file = createInboxFile(directory, launch);
  if (typeof file !== "object") throw new Error(`the file cannot be created: ${file}`);
  const steps = STEPS.indexOf(last);
  if (steps >= 1) appendRunning(file, launch.running);
  if (steps >= 2) appendResult(file, launch.result);
  if (steps >= 3) finishInboxFile(file);
  return file;
}

export function inboxOf(ledgerPath: string): string {
  return join(dirname(ledgerPath), "inbox");
}

export function inboxNames(ledgerPath: string): string[] {
  return readdirSync(inboxOf(ledgerPath)).sort();
}
