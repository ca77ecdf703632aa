import { addUsage, UNKNOWN_USAGE, type Usage, usageSince } from "../../limits/usage.ts";
import { backendOf } from "./backends.ts";
import { asDirectory, type JobCgroup, type JobDirectory } from "./jobCgroup.ts";

/**
 * Records once the counters of cgroups that count more than the job: its owner's when the job begins in it, and its
 * tenant's. Call before limits are written: everything after that happens under them. Returns whether there was anything
 * to record.
 */
export function recordCounters(job: JobCgroup, { isFirst = true } = {}): boolean {
  let isNew = false;
  for (const directory of job.directories) {
    const { placedAs, countedBefore, tenant, tenantCountedBefore } = directory;
    if (placedAs === "in-place" && countedBefore === undefined && isFirst) {
      directory.countedBefore = readCounted(job, directory);
      isNew = true;
    }
    if (tenant !== undefined && tenantCountedBefore === undefined) {
      directory.tenantCountedBefore = readCounted(job, { ...directory, path: tenant });
      isNew = true;
    }
  }
  return isNew;
}

/** The usage of a job since it began. */
export function readUsage(job: JobCgroup): Usage {
  const usage = readUsageOf(job, job.directories);
  const former = readFormerUsage(job);
  return former === undefined ? usage : addUsage(usage, former);
}

/** The usage counted by the cgroups that a job had before it was migrated; `undefined` when there are none. */
export function readFormerUsage(job: JobCgroup): Usage | undefined {
  const former = job.directories.flatMap(({ formerly, ...directory }) =>
    formerly === undefined ? [] : [{ ...directory, path: formerly }],
  );
  return former.length === 0 ? undefined : readUsageOf(job, former);
}

function readUsageOf(job: JobCgroup, directories: JobDirectory[]): Usage {
  const usage = { ...UNKNOWN_USAGE };
  for (const directory of directories) {
    const counted = readCounted(job, directory);
    const { placedAs, countedBefore } = directory;
    const isShared = placedAs === "in-place" || countedBefore !== undefined;
    Object.assign(usage, isShared ? sinceBegin(directory, counted) : counted);
  }
  return usage;
}

/** Everything that a cgroup has counted since it was created. */
function readCounted(job: JobCgroup, directory: JobDirectory): Partial<Usage> {
  const counted: Partial<Usage> = {};
  const readers = new Set([...backendOf(directory.hierarchy).alwaysMeasures, ...directory.controllers]);
  for (const reader of readers) Object.assign(counted, reader.usage?.(asDirectory(job, directory)));
  return counted;
}

/** Unknown for a job in place whose first counters are not recorded. */
function sinceBegin({ countedBefore }: JobDirectory, counted: Partial<Usage>): Partial<Usage> {
  if (countedBefore === undefined) return {};
  const since = usageSince({ ...UNKNOWN_USAGE, ...countedBefore }, { ...UNKNOWN_USAGE, ...counted });
  const fields = Object.keys(counted) as (keyof Usage)[];
  return Object.fromEntries(fields.map((field) => [field, since[field]]));
}
