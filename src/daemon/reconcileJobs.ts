import type { DaemonContext } from "./daemonContext.ts";
import { isGovernedLast } from "./decision.ts";
import type { JobTracker } from "./jobTracker.ts";
import { decideAgain, type Occasion, reconcileJob } from "./reconcilePolicy.ts";

/**
 * Applies the policy in force to the jobs that a `watch` started. Changes nothing where the daemon was stopped, or another policy
 * loaded, while facts were read.
 */
export async function reconcileJobs(
  context: DaemonContext,
  tracker: JobTracker,
  occasion: Occasion,
  isStopped: () => boolean,
): Promise<void> {
  const jobs = tracker.ownJobs().filter(({ mode }) => mode === "watch");
  const { policy } = context.store;
  const asked = jobs.map(async (job) => [job.key, await decideAgain(context, job)] as const);
  const decisions = new Map(await Promise.all(asked));
  if (isStopped() || context.store.policy !== policy) return;
  // A job may have ended or changed meanwhile.
  const decided = tracker.ownJobs().flatMap((job) => {
    const decision = decisions.get(job.key);
    return decision === undefined ? [] : [{ job, decision, isLast: isGovernedLast(policy, decision) }];
  });
  for (const { job, decision } of decided.sort((a, b) => Number(a.isLast) - Number(b.isLast))) {
    const event = reconcileJob(context, job, occasion, decision);
    if (event?.kind === "job-changed-by-policy") tracker.observer.update(event.job);
    if (event?.kind === "job-released-by-policy") tracker.forget(job);
    if (event) context.bus.emit(event);
  }
}
