import { readMembership } from "../../linux/cgroup/hierarchies.ts";
import { bootMsOf, readStat } from "../../linux/proc/stat.ts";
import { governPlanned } from "../attach/attach.ts";
import { findGovernedCgroup } from "../attach/governedCgroup.ts";
import { planAttach } from "../attach/planAttach.ts";
import { journalOf } from "../changes.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { type JobSpec, newJob } from "../job.ts";
import type { RunningJob } from "../model/job.ts";
import { jobAround } from "../placement/placement.ts";
import { withSchedulerLabels } from "../schedulerLabels.ts";

/**
 * Governs this process as the workload that it is about to execute: the same PID then runs the command, under limits from its
 * first instruction. The job is on record as running, with this process as its observer; release it before the execution. Throws a
 * Refusal, having changed nothing, where this process cannot be governed.
 */
export function governSelf(context: Context, spec: JobSpec, command: readonly string[]): RunningJob {
  const { host, self } = context;
  const [stat, membership] = [readStat(host, self.pid), readMembership(host, self.pid)];
  if (stat === "gone" || membership === "gone")
    throw new Refusal("cannot read this process in /proc", "mount procfs of this pid namespace at /proc");
  const around = findGovernedCgroup(context, membership)?.name ?? jobAround(context, membership)?.jobId;
  if (around !== undefined)
    throw new Refusal(
      `this process is governed already, inside ${around}`,
      "start the command without ffrtmp exec, or detach that job first: ffrtmp ps, ffrtmp detach JOB",
    );
  const { cgroup, scope } = planAttach(context, { stat, membership }, spec);
  const labelled = withSchedulerLabels(context, spec, membership, process.env);
  const job = newJob(context, "run", labelled, {
    process: self,
    command: [...command],
    cwd: process.cwd(),
    uid: process.geteuid?.() ?? null,
    ...journalOf(cgroup, scope),
    logPath: null,
  });
  // The workload is as old as this process.
  const startedBootMs = bootMsOf(stat.startTicks);
  const start = () => ({ startedMs: host.now() - (host.bootNow() - startedBootMs), startedBootMs });
  return governPlanned(
    context,
    job,
    { process: self, cgroup, scope },
    { total: spec.tenant?.limits, start, once: spec.once },
  );
}
