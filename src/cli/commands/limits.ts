import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { jobJson } from "../../jobs/json.ts";
import { changeLimits } from "../../jobs/limits/changeLimits.ts";
import type { RunningJob } from "../../jobs/model/job.ts";
import { maskText } from "../../jobs/model/secrets.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import type { ChangedLimitsJson, UnchangedLimitsJson } from "../../json/jobChangeSchemas.ts";
import {
  cancelledBy,
  combineLayers,
  formatChange,
  formatLimit,
  type LimitLayer,
  mergeLayers,
} from "../../limits/limits.ts";
import { isInForce } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type LimitName } from "../../limits/table.ts";
import { readLimitsBeside, readLimitsOn } from "../../linux/cgroup/effectiveLimits.ts";
import { readMembership } from "../../linux/cgroup/hierarchies.ts";
import { findRunningJobs, isPattern } from "../findJobs.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { limitLayerFrom } from "../options/limitOptions.ts";
import { printError, printJson, printOut } from "../output/messages.ts";
import { outcomePairs, warnOfLikelyMistakes } from "../output/outcomes.ts";
import { type Pair, renderPairs } from "../output/table.ts";
import { closeAfterChange, openToChange } from "../session.ts";

/** As for every request that could not be fulfilled. */
const REFUSED = 2;

/** Sets limits of running jobs. They override those of the policy or the caller until they are reset. */
export function setLimits(names: string[], flags: CommonFlags): number {
  const limits = limitLayerFrom(flags);
  if (Object.keys(limits).length === 0) throw new Refusal("no limit given", "ffrtmp limits set --help");
  return changeAll(names, flags, limits);
}

export function resetLimits(names: string[], flags: CommonFlags): number {
  return changeAll(names, flags, null);
}

/** A job with its limits after the change. */
interface Changed {
  job: RunningJob;
  lifted: Lifted[];
  isRefused: boolean;
}

/** A job that an argument names, or why none was changed. */
type Change = { name: string } & (Changed | { refusal: Refusal });

/** A limit that ffrtmp no longer sets. `inForce`: of a cgroup above. Absent: none, or none that can be read. */
interface Lifted {
  limit: LimitName;
  inForce?: string | undefined;
}

/** Adds to the limits that were set by hand. `null` removes all of these. Tries every job, also after a refusal. */
function changeAll(names: string[], flags: CommonFlags, limits: LimitLayer | null): number {
  const context = openToChange(flags);
  if (limits) warnOfLikelyMistakes(context, mergeLayers(limits));
  const changes = findRunningJobs(context, names).map((found) =>
    "refusal" in found ? found : { name: found.name, ...change(context, found.job, limits) },
  );
  const isOne = names.length === 1 && !isPattern(names[0] as string);
  for (const each of changes) if ("refusal" in each) printRefusal(each.refusal);
  const changed = changes.flatMap((each) => ("job" in each ? [each] : []));
  if (flags.json && isOne) changed.forEach((each) => void printJson(changeJson(each)));
  else if (flags.json) printJson(changes.map(changeJson));
  else if (isOne) changed.forEach((each) => void printOut(describeOne(each)));
  else if (changed.length > 0) printOut(renderPairs(changed.map(describeLine)));
  for (const { job } of changed) closeAfterChange(context, job);
  return changes.some((each) => "refusal" in each || each.isRefused) ? REFUSED : 0;
}

/** Refusals repeat arguments. */
function printRefusal({ message, hint }: Refusal): void {
  printError(maskText(message), hint && maskText(hint));
}

function change(
  context: Context,
  before: RunningJob,
  limits: LimitLayer | null,
): Changed | { refusal: Refusal } {
  try {
    const byHand = limits && combineLayers(before.byHand, limits);
    const job = changeLimits(context, before, { byHand }, "by hand");
    const lifted = limits ? listLifted(context, job, limits) : [];
    return { job, lifted, isRefused: isRefused(context, job, limits) };
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    return { refusal };
  }
}

/** Returns true when a limit of the request is not in force, or an earlier one could not be removed. */
function isRefused({ ledger }: Context, job: RunningJob, limits: LimitLayer | null): boolean {
  const isAsked = (name: LimitName) => limits !== null && formatChange(limits, name) !== undefined;
  const event = ledger.events(job).findLast(({ kind }) => kind === "limits_changed");
  return (
    job.outcomes.some((each) => each.of === undefined && isAsked(each.limit) && !isInForce(each)) ||
    (event?.kind === "limits_changed" && event.detail.failures !== undefined)
  );
}

function listLifted(context: Context, job: RunningJob, limits: LimitLayer): Lifted[] {
  const names = cancelledBy(limits);
  const asked = CGROUP_LIMITS.filter((name) => names.includes(name));
  const cgroup = jobCgroupOf(context, job);
  const membership = readMembership(context.host, job.process.pid);
  const inForce = {
    ...(membership !== "gone" && readLimitsBeside(cgroup, context.hierarchies, membership, asked)),
    ...readLimitsOn(cgroup, asked),
  };
  return names.map((limit) => ({ limit, inForce: formatLimit(inForce, limit) }));
}

function changeJson(change: Change): ChangedLimitsJson | UnchangedLimitsJson {
  if ("refusal" in change) return { job_id: maskText(change.name), error: maskText(change.refusal.message) };
  const lifted = change.lifted.map(({ limit, inForce = null }) => ({ limit, in_force: inForce }));
  return { ...jobJson(change.job), lifted };
}

function describeOne(change: Changed): string {
  const pairs = pairsOf(change);
  return pairs.length === 0 ? `job ${change.job.jobId} has no limits` : renderPairs(pairs);
}

function describeLine(change: Changed): Pair {
  const parts = pairsOf(change).map((pair) => pair.join(" "));
  return [change.job.jobId, parts.join("; ") || "no limits"];
}

function pairsOf({ job, lifted }: Changed): Pair[] {
  return [
    ...outcomePairs(job),
    ...lifted.map(({ limit, inForce }): Pair => {
      const above = inForce === undefined ? "" : `; in force: ${inForce}`;
      return [limit, `no limit by ffrtmp${above}`];
    }),
  ];
}
