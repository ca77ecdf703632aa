import type { Limits } from "../../limits/limits.ts";
import { formatLimit } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type CgroupLimitName, isInherited, isWeight, LIMITS } from "../../limits/table.ts";
import type { FileWritten } from "../change.ts";
import type { CgroupController } from "./controller.ts";
import { readText } from "./file.ts";
import { asDirectory, type JobCgroup, type JobDirectory, tenantCgroupOf, writtenIn } from "./jobCgroup.ts";
import { applyWrites, executeWrites, type LimitWrites } from "./limitPlan.ts";
import { restoreFile } from "./ownerFiles.ts";
import { PlannedFs } from "./plannedFs.ts";

/** One limit of a job or of its tenant: the writes that set it, or the outcome where nothing is written. */
export type PlannedLimit = { limit: CgroupLimitName; wanted: string; of?: "tenant" } & (
  | { outcome: LimitOutcome }
  | {
      controller: string;
      path: string;
      writes: LimitWrites;
      /** It follows from another value, was not asked for, and gets no outcome. */
      isImplied?: true;
    }
);

/**
 * Plans the limits of a job's cgroup, and before them the total of its tenant: a limit that is not tighter than the total
 * is not written. Reads only.
 */
export function planLimits(job: JobCgroup, limits: Limits, total: Limits = {}): PlannedLimit[] {
  const fs = new PlannedFs(job.fs);
  const totals = planTotal({ ...job, fs }, total);
  for (const planned of totals) {
    if ("outcome" in planned) continue;
    for (const { file, data } of planned.writes.writes) fs.write(`${planned.path}/${file}`, data);
  }
  return [...totals, ...planOwn({ ...job, fs }, limits)];
}

function planOwn(job: JobCgroup, limits: Limits): PlannedLimit[] {
  return CGROUP_LIMITS.flatMap((limit): PlannedLimit[] => {
    const wanted = formatLimit(limits, limit);
    return wanted === undefined ? [] : [planOne(job, limits, limit, wanted)];
  });
}

function planTotal(job: JobCgroup, limits: Limits): PlannedLimit[] {
  const group = tenantCgroupOf(job);
  return CGROUP_LIMITS.flatMap((limit): PlannedLimit[] => {
    const wanted = formatLimit(limits, limit);
    if (wanted === undefined) return [];
    const of = "tenant";
    const because = group.directories.length === 0 ? NO_GROUP : whyNotSummed(group, limit);
    if (because !== undefined) {
      return [{ limit, wanted, of, outcome: { limit, of, outcome: "unsupported", wanted, because } }];
    }
    const planned = planOne(group, limits, limit, wanted);
    if (!("outcome" in planned)) return [{ ...planned, of }];
    return [{ ...planned, of, outcome: { ...planned.outcome, of } }];
  });
}

const NO_GROUP = "its cgroup was not placed in a group of its tenant: it is its owner's own, or a scope";

function whyNotSummed(group: JobCgroup, limit: CgroupLimitName): string | undefined {
  const version = findPlace(group, limit)?.directory.hierarchy.version;
  // A weight needs no inheriting: the tenant's cgroup competes with it as one.
  if (version === undefined || isWeight(limit) || isInherited(limit, version)) return undefined;
  return `cgroup v${version} does not add up ${limit} of several cgroups`;
}

function planOne(job: JobCgroup, limits: Limits, limit: CgroupLimitName, wanted: string): PlannedLimit {
  const place = findPlace(job, limit);
  const plan = place?.controller.plan[limit]?.(asDirectory(job, place.directory), limits);
  if (!place || !plan) return { limit, wanted, outcome: unsupported(job, limit, wanted) };
  if ("outcome" in plan) return { limit, wanted, outcome: plan };
  return { limit, wanted, controller: place.controller.name, path: place.directory.path, writes: plan };
}

/** Executes planned limits. The outcomes are in the order of CGROUP_LIMITS, the job's own before its tenant's. */
export function executeLimits(job: JobCgroup, planned: readonly PlannedLimit[]): LimitOutcome[] {
  const outcomes = planned.flatMap((each) => {
    const outcome = executeLimit(each.of === undefined ? job : tenantCgroupOf(job), each);
    return "isImplied" in each ? [] : [outcome];
  });
  return [...outcomes.filter(({ of }) => of === undefined), ...outcomes.filter(({ of }) => of !== undefined)];
}

function executeLimit(job: JobCgroup, planned: PlannedLimit): LimitOutcome {
  if ("outcome" in planned) return planned.outcome;
  const { limit, wanted, of, path, controller, writes } = planned;
  const directory = job.directories.find((each) => each.path === path);
  // A controller can turn out to be unavailable when the directories are made.
  const isUsable = directory?.controllers.some(({ name }) => name === controller);
  const outcome =
    directory && isUsable
      ? applyWrites(limit, wanted, asDirectory(job, directory), writes)
      : unsupported(job, limit, wanted);
  return of === undefined ? outcome : { ...outcome, of };
}

/** Plans and executes the job's own limits. */
export function applyCgroupLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return executeLimits(job, planOwn(job, limits));
}

/** Plans and executes the total of a tenant's jobs. */
export function applyTenantLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return executeLimits(job, planTotal(job, limits));
}

/** The writes of planned limits as changes. */
export function changesOf(job: JobCgroup, planned: readonly PlannedLimit[]): FileWritten[] {
  return planned.flatMap((each) => {
    if ("outcome" in each) return [];
    const directory = [...job.directories, ...tenantCgroupOf(job).directories].find(
      ({ path }) => path === each.path,
    );
    return each.writes.writes.map(({ file, data }): FileWritten => {
      const path = `${each.path}/${file}`;
      const before = directory?.placedAs === "in-place" ? (readText(job.fs, path) ?? null) : null;
      return {
        kind: "file-written",
        hierarchy: directory?.hierarchy.key ?? "",
        path,
        before,
        after: data,
      };
    });
  });
}

/** The outcomes to expect if the kernel takes every planned write. */
export function expectedOutcomes(job: JobCgroup, planned: readonly PlannedLimit[]): LimitOutcome[] {
  return executeLimits({ ...job, fs: new PlannedFs(job.fs) }, planned);
}

/** Removes limits of ours, so that only the limits above apply. Returns what the kernel refused. */
export function liftCgroupLimits(job: JobCgroup, limits: readonly CgroupLimitName[]): string[] {
  return limits.flatMap((limit) => {
    const place = findPlace(job, limit);
    if (!place) return [];
    const { directory, controller } = place;
    if (directory.placedAs === "in-place") {
      const written = writtenIn(job.changes, directory.path).filter(({ path }) => path.endsWith(`/${limit}`));
      return written.flatMap((change) => restoreFile(job.fs, change) ?? []);
    }
    const target = asDirectory(job, directory);
    return executeWrites(target, controller.lift[limit]?.(target) ?? [], true);
  });
}

function findPlace(
  { directories }: JobCgroup,
  limit: CgroupLimitName,
): { directory: JobDirectory; controller: CgroupController } | undefined {
  for (const directory of directories) {
    const controller = directory.controllers.find(({ plan }) => plan[limit]);
    if (controller) return { directory, controller };
  }
  return undefined;
}

function unsupported({ unavailable }: JobCgroup, limit: CgroupLimitName, wanted: string): LimitOutcome {
  const { v1, v2 } = LIMITS[limit];
  const names = [...new Set([v2.controller, v1.controller])];
  const because =
    unavailable.find(({ controller }) => names.includes(controller))?.because ??
    `no cgroup controller for it is mounted (${names.join(" or ")})`;
  return { limit, outcome: "unsupported", wanted, because };
}
