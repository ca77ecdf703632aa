import { Refusal } from "../../jobs/errors.ts";
import { jobJson } from "../../jobs/json.ts";
import { changeLimits } from "../../jobs/limits/changeLimits.ts";
import type { Limits } from "../../limits/limits.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { limitsFrom } from "../options/limitOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { outcomePairs, warnOfLikelyMistakes } from "../output/outcomes.ts";
import { renderPairs } from "../output/table.ts";
import { closeAfterChange, findRunningJob, openToChange } from "../session.ts";

/** Sets limits of a running job. They override those of its policy or its caller until they are reset. */
export function setLimits(jobId: string, flags: CommonFlags): number {
  const limits = limitsFrom(flags);
  if (Object.keys(limits).length === 0) throw new Refusal("no limit given", "ffrtmp limits set --help");
  return change(jobId, flags, limits);
}

export function resetLimits(jobId: string, flags: CommonFlags): number {
  return change(jobId, flags, null);
}

/** Adds to the limits that were set by hand. `null` removes all of these. */
function change(jobId: string, flags: CommonFlags, limits: Limits | null): number {
  const context = openToChange(flags);
  const job = findRunningJob(context, jobId);
  if (limits) warnOfLikelyMistakes(context, limits);
  const byHand = limits && { ...job.byHand, ...limits };
  const changed = changeLimits(context, job, { byHand }, "by hand");
  if (flags.json) printJson(jobJson(changed));
  else if (changed.outcomes.length === 0) printOut(`job ${jobId} has no limits`);
  else printOut(renderPairs(outcomePairs(changed)));
  closeAfterChange(context, job);
  return 0;
}
