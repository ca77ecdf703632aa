import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { jobJson } from "../../jobs/json.ts";
import { changeLimits } from "../../jobs/limits/changeLimits.ts";
import type { Job } from "../../jobs/model/job.ts";
import type { Limits } from "../../limits/limits.ts";
import type { StateFlags } from "../options/jobOptions.ts";
import { type LimitFlags, limitsFrom } from "../options/limitOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { describeOutcome, nameOfOutcome, warnOfSlips } from "../output/outcomes.ts";
import { type Pair, renderPairs } from "../output/pairs.ts";
import { findJob, openContext } from "../session.ts";

type Flags = StateFlags & { json?: boolean };

/** Changes single limits of a living job. They go before what its policy or its caller wants, until they are reset. */
export function setLimits(jobId: string, flags: Flags & LimitFlags): number {
  const limits = limitsFrom(flags);
  if (Object.keys(limits).length === 0) {
    throw new Refusal("no limit was named to be set", "ffrtmp limits set --help");
  }
  return change(jobId, flags, (context, job) => {
    warnOfSlips(context, limits);
    return { ...job.byHand, ...limits };
  });
}

/** Takes back all that was set by hand. */
export function resetLimits(jobId: string, flags: Flags): number {
  return change(jobId, flags, () => null);
}

function change(jobId: string, flags: Flags, byHand: (context: Context, job: Job) => Limits | null): number {
  const context = openContext(flags);
  const job = findJob(context, jobId);
  if (job.state === "ended") throw new Refusal(`job ${jobId} has ended already`, `ffrtmp inspect ${jobId}`);
  if (job.state === "starting")
    throw new Refusal(`job ${jobId} is being started just now`, "try again in a moment");
  const changed = changeLimits(context, job, { byHand: byHand(context, job) }, "by hand");
  if (flags.json) printJson(jobJson(changed));
  else printOut(describe(changed));
  context.ledger.close();
  return 0;
}

function describe({ jobId, outcomes }: Job): string {
  if (outcomes.length === 0) return `job ${jobId} has no limits now`;
  return renderPairs(outcomes.map((outcome): Pair => [nameOfOutcome(outcome), describeOutcome(outcome)]));
}
