import type { JobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { recordExit } from "../exit/recordExit.ts";
import { undoForCgroup, undoForProcesses } from "../exit/undoChanges.ts";
import type { Job, RunningJob } from "../model/job.ts";

/** Releases a running job: undoes every change that was made for it, and leaves nothing behind. */
export function detach(context: Context, job: RunningJob, cgroup: JobCgroup): void {
  const { host, ledger } = context;
  refuseOwnSubgroups(context, cgroup, job);
  const failures = undoForProcesses(context, job, cgroup);
  const left = failures.length > 0 ? [] : undoForCgroup(context, job, cgroup);
  if (failures.length > 0 || left.length > 0) {
    ledger.addEvent(job, { atMs: host.now(), kind: "detach_failed", detail: { failures, left } });
    throw new Refusal(
      `cannot release job ${job.jobId} whole: ${[...failures, ...left.map((path) => `${path} is in use`)].join("; ")}`,
      "what could be put back was; run the same command again when the cause is gone",
    );
  }
  recordExit(context, job, { kind: "detached" });
}

/** Cgroups that the workload made below ours could not go along: their processes would lose what those hold. */
function refuseOwnSubgroups(context: Context, cgroup: JobCgroup, job: Job): void {
  const { cgroupFs } = context.host;
  for (const { path, placedAs } of cgroup.directories) {
    if (placedAs === "in-place") continue;
    const [child] = cgroupFs.children(path);
    if (child === undefined) continue;
    throw new Refusal(
      `cannot release job ${job.jobId}: it has made cgroups of its own below ours (${path}/${child})`,
      "let it end, or remove those cgroups first",
    );
  }
}
