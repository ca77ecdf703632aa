import { basename } from "node:path";
import { knownOnly } from "../../limits/usage.ts";
import { openOrigin } from "../../linux/cgroup/cgroupChanges.ts";
import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { restoreAttributes } from "../../linux/proc/taskAttributes.ts";
import { attributesOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit, undoForCgroup } from "../exit/recordExit.ts";
import { undoInGateLock } from "../gateLock.ts";
import type { Ending } from "../model/ending.ts";
import type { RunningJob } from "../model/job.ts";
import { usageOf } from "../placement/jobCgroup.ts";
import { isOwnScope } from "../placement/jobScope.ts";
import { moveBackToOrigin } from "../placement/moveTree.ts";

const MAX_TRIES = 3;

/**
 * Releases a running job: undoes every change that was made for it, and leaves nothing behind. `ending` is another one for a job
 * whose process has not become the workload.
 */
export function detach(
  context: Context,
  job: RunningJob,
  cgroup: JobCgroup,
  ending: Ending = { kind: "detached" },
): void {
  const { host, ledger } = context;
  for (const { path, placedAs } of cgroup.directories) {
    const [child] = placedAs === "in-place" ? [] : host.cgroupFs.children(path);
    if (child === undefined) continue;
    // It could not be moved, and its processes would lose the limits there.
    throw new Refusal(
      `cannot detach job ${job.jobId}: it has created cgroups of its own below the job's (${path}/${child})`,
      "wait for it to end, or remove those cgroups first",
    );
  }
  // The counters go with the cgroups.
  const used = ending.kind === "detached" ? knownOnly(usageOf(job, cgroup)) : {};
  const attributes = restoreAttributes(host, attributesOf(job));
  let undone = undo(context, job, cgroup, attributes);
  // The observer may be restoring a limit that was just undone, which puts the controllers or the process back.
  for (let again = 1; again < MAX_TRIES && !isComplete(undone); again++)
    undone = undo(context, job, cgroup, attributes);
  const { failures, left } = undone;
  const reasons = [...failures, ...left.map((path) => `${path} is in use`)];
  if (reasons.length > 0) {
    ledger.addEvent(job, { atMs: host.now(), kind: "detach_failed", detail: { failures, left } });
    throw new Refusal(
      `cannot detach job ${job.jobId} completely: ${reasons.join("; ")}`,
      "everything else was restored; remove the cause and run the same command again",
    );
  }
  recordExit(context, job, ending, { atEnd: used });
}

interface Undone {
  /** Changes that could not be undone. */
  failures: string[];
  /** Cgroups that are still in use. */
  left: string[];
}

const isComplete = ({ failures, left }: Undone): boolean => failures.length + left.length === 0;

/** Moves the processes back and removes the cgroups, if nothing failed before that. */
function undo(context: Context, job: RunningJob, cgroup: JobCgroup, failed: readonly string[]): Undone {
  for (const directory of cgroup.directories) {
    if (isOwnScope(basename(directory.origin))) openOrigin(cgroup, directory);
  }
  const failures = [...failed, ...moveBackToOrigin(context.host, cgroup)];
  const left =
    failures.length > 0 ? [] : undoInGateLock(context, job, () => undoForCgroup(context, job, cgroup));
  return { failures, left };
}
