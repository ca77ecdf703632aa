import { addUsage, UNKNOWN_USAGE, type Usage, usageSince } from "../../limits/usage.ts";
import { backendOf } from "./backends.ts";
import { asDirectory, type JobCgroup, type JobDirectory } from "./jobCgroup.ts";
import { joinUsage } from "./usageReaders.ts";

/**
 * Records once the counters of cgroups that count more than the job: its owner's when the job begins in it, and its
 * tenant's. Call before limits are written: everything after that happens under them.
 */
export function recordCounters(job: JobCgroup, { isFirst = true } = {}): void {
  for (const directory of job.directories) {
    const { placedAs, tenant } = directory;
    if (placedAs === "in-place" && isFirst) directory.countedBefore ??= readCounted(job, directory);
    if (tenant !== undefined)
      directory.tenantCountedBefore ??= readCounted(job, { ...directory, path: tenant });
  }
}

export function readUsage(job: JobCgroup): Usage {
  const usage = readUsageOf(job, job.directories);
  const former = readFormerUsage(job);
  return former === undefined ? usage : addUsage(usage, former);
}

/** Reads the usage counted by the cgroups that a job had before it was migrated; `undefined` when there are none. */
export function readFormerUsage(job: JobCgroup): Usage | undefined {
  const former = job.directories.flatMap(({ formerly, ...directory }) =>
    formerly === undefined ? [] : [{ ...directory, path: formerly }],
  );
  return former.length === 0 ? undefined : readUsageOf(job, former);
}

function readUsageOf(job: JobCgroup, directories: readonly JobDirectory[]): Usage {
  const counted = directories.flatMap((directory): Partial<Usage>[] => {
    const { placedAs, countedBefore } = directory;
    // The counters are the owner's too, and unknown without the first ones.
    if (placedAs === "in-place" && countedBefore === undefined) return [];
    const now = readCounted(job, directory);
    if (countedBefore === undefined) return [now];
    const since = usageSince({ ...UNKNOWN_USAGE, ...countedBefore }, { ...UNKNOWN_USAGE, ...now });
    const fields = Object.keys(now) as (keyof Usage)[];
    return [Object.fromEntries(fields.map((field) => [field, since[field]]))];
  });
  return joinUsage(counted);
}

function readCounted(job: JobCgroup, directory: JobDirectory): Partial<Usage> {
  const readers = new Set([...backendOf(directory.hierarchy).alwaysMeasures, ...directory.controllers]);
  const counted = [...readers].map((reader) => reader.usage?.(asDirectory(job, directory)));
  return Object.assign({}, ...counted);
}
