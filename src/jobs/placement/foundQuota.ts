import { type CpuMax, formatCpuMax, parseCpuMax } from "../../limits/grammar.ts";
import { isInForce, type LimitOutcome } from "../../limits/outcome.ts";
import { ValueFault } from "../../limits/units.ts";
import { DEFAULT_PERIOD_USEC } from "../../linux/cgroup/cpuMax.ts";
import { readLimitsAbove, readOwnLimits } from "../../linux/cgroup/effectiveLimits.ts";
import type { JobCgroup, JobDirectory } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, liftCgroupLimits } from "../../linux/cgroup/jobLimits.ts";
import { recordWritten } from "../../linux/cgroup/ownerFiles.ts";
import { limitsInForce } from "../job.ts";
import type { EndedJob, Job } from "../model/job.ts";

/** Short, so that a job that has used its quota waits for some ms only. */
export const PERIOD_USEC = 20_000;

const NO_QUOTA = "max";

/** The CPU quota in the cgroup of a batch job, as the governor finds it. */
export type FoundQuota =
  /** `quotaCores`: that of the governor. `ceilingCores`: the tightest other one. `null`: none. */
  | { readonly quotaCores: number | null; readonly ceilingCores: number | null }
  /** Something else has written the quota. `wanted`: as it should be. */
  | { readonly wanted: string; readonly found: string }
  /** The job has no cgroup that could have one. */
  | "unavailable";

/** Returns the quota of the governor as it is recorded: a job has it from before the first write until it is lifted. */
export function governedQuotaOf({ outcomes }: Pick<Job, "outcomes">): LimitOutcome | undefined {
  return outcomes.find(({ of }) => of === "governor");
}

/** Reads the quota of a job, and compares it with its record. */
export function readGovernedQuota(
  job: Pick<Job, "limits" | "byHand" | "outcomes">,
  cgroup: JobCgroup,
): FoundQuota {
  const place = findPlace(cgroup);
  if (place === undefined) return "unavailable";
  const own = readOwnQuota(cgroup);
  const found = textOf(own);
  const explicit = limitsInForce(job).cpuMax;
  const above = coresOf(readLimitsAbove(cgroup, ["cpu.max"]).cpuMax);
  const ceilings = [above, coresOf(explicit)].filter((cores) => cores !== null);
  const ceilingCores = ceilings.length === 0 ? null : Math.min(...ceilings);
  const record = governedQuotaOf(job);
  if (record === undefined) {
    // In place, the quota is the owner's, and above.
    const isKnown = place.placedAs === "in-place" || own === undefined || coresOf(own) === coresOf(explicit);
    return isKnown ? { quotaCores: null, ceilingCores } : { wanted: textOf(explicit), found };
  }
  // The value from before a write that was recorded, from after it, or from between its two files.
  if (found === record.wanted || isHalfWritten(place, own, [record.wanted, record.actual, textOf(explicit)]))
    return { quotaCores: coresOf(own), ceilingCores };
  if (found === record.actual) {
    const isOurs = place.placedAs === "in-place" ? isGovernors(found) : coresOf(own) !== coresOf(explicit);
    return { quotaCores: isOurs ? coresOf(own) : null, ceilingCores };
  }
  return { wanted: record.actual ?? record.wanted, found };
}

/** Writes the quota that a job has without the governor: its own, or none. Returns what the kernel refused. */
export function writeOwnQuota(job: Pick<Job, "limits" | "byHand">, cgroup: JobCgroup): string[] {
  const { cpuMax } = limitsInForce(job);
  if (cpuMax === undefined) return liftCgroupLimits(cgroup, ["cpu.max"]);
  const [outcome] = applyCgroupLimits(cgroup, { cpuMax });
  recordWritten(cgroup, { cpuMax });
  // A cgroup above is as tight, so that it was not written.
  if (outcome?.heldBy !== undefined) return liftCgroupLimits(cgroup, ["cpu.max"]);
  return outcome === undefined || isInForce(outcome) ? [] : [outcome.because ?? ""];
}

/**
 * Puts back the quota of a job that has ended and has left processes in its cgroup: nothing would let these grow any more. The
 * outcomes of the job stay as they are.
 */
export function liftQuotaOfEnded(job: EndedJob, cgroup: JobCgroup): void {
  if (governedQuotaOf(job) === undefined) return;
  const found = readGovernedQuota(job, cgroup);
  if (found !== "unavailable" && "quotaCores" in found && found.quotaCores !== null)
    writeOwnQuota(job, cgroup);
}

/** Returns the directory of a job that has its quota. */
export function findPlace({ directories }: JobCgroup) {
  return directories.find(({ controllers }) => controllers.some(({ limits }) => limits["cpu.max"]));
}

export function readOwnQuota(cgroup: JobCgroup): CpuMax | undefined {
  const place = findPlace(cgroup);
  return place && readOwnLimits(place.controllers, { ...place, fs: cgroup.fs }, ["cpu.max"]).cpuMax;
}

export function textOf(max: CpuMax | undefined): string {
  return max === undefined || max.quotaUsec === "max" ? NO_QUOTA : formatCpuMax(max);
}

function coresOf(max: CpuMax | undefined): number | null {
  return max === undefined || max.quotaUsec === "max" ? null : max.quotaUsec / max.periodUsec;
}

/**
 * Returns whether a quota and its period are from two of these values: v1 has a file for each, and an ffrtmp can die between
 * the two writes.
 */
function isHalfWritten(
  { hierarchy }: JobDirectory,
  own: CpuMax | undefined,
  texts: readonly (string | undefined)[],
): boolean {
  if (hierarchy.version !== 1 || own === undefined) return false;
  const values = texts.flatMap((text) => (text === undefined ? [] : (cpuMaxOf(text) ?? [])));
  const periods = [DEFAULT_PERIOD_USEC, ...values.map(({ periodUsec }) => periodUsec)];
  return values.some(({ quotaUsec }) => quotaUsec === own.quotaUsec) && periods.includes(own.periodUsec);
}

/** Returns whether a quota is one that the governor has written, and not the job's own from before. */
function isGovernors(text: string): boolean {
  return cpuMaxOf(text)?.periodUsec === PERIOD_USEC;
}

/** Returns `undefined` for the text of no quota. */
function cpuMaxOf(text: string): CpuMax | undefined {
  if (text === NO_QUOTA) return undefined;
  try {
    return parseCpuMax(text);
  } catch (error) {
    if (error instanceof ValueFault) return undefined;
    throw error;
  }
}
