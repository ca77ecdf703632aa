import type { Limits } from "../../limits/limits.ts";
import { isInForce, type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import { CGROUP_LIMITS, type CgroupLimitName, isInherited, isWeight, LIMITS } from "../../limits/table.ts";
import type { FileWritten } from "../change.ts";
import { type CgroupDirectory, readCgroupFile, readText, writeCgroupFile } from "./file.ts";
import { restoredDiskWeight } from "./ioWeight.ts";
import {
  asDirectory,
  carriedBy,
  type JobCgroup,
  type JobDirectory,
  tenantCgroupOf,
  withHolder,
  writtenIn,
} from "./jobCgroup.ts";
import type { FileWrite, LimitWrites } from "./limitFiles.ts";
import { filesOfLimit, restoreFile } from "./ownerFiles.ts";
import { plannedFs } from "./plannedFs.ts";

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
export function planLimits(job: JobCgroup, limits: Limits, total?: Limits): PlannedLimit[] {
  const fs = plannedFs(job.fs, job.changes);
  if (total === undefined) return planAll({ ...job, fs }, limits);
  const totals = planAll({ ...job, fs }, total, "tenant");
  for (const planned of totals) {
    if ("outcome" in planned) continue;
    for (const { file, data } of planned.writes.writes) fs.write(`${planned.path}/${file}`, data);
  }
  return [...totals, ...planAll({ ...job, fs }, limits)];
}

function planAll(job: JobCgroup, limits: Limits, of?: "tenant"): PlannedLimit[] {
  const target = of === undefined ? job : tenantCgroupOf(job);
  return CGROUP_LIMITS.flatMap((limit): PlannedLimit[] => {
    const { field, format = String } = LIMITS[limit];
    const value = limits[field];
    if (value === undefined) return [];
    const wanted = format(value);
    const request = { limit, wanted, ...(of && { of }) };
    const place = findPlace(target, limit);
    const because = of && whyNotSummed(target, limit, place?.directory.hierarchy.version);
    if (!place || because !== undefined)
      return [{ ...request, outcome: unsupported(target, limit, wanted, because) }];
    const { directory, controller, files } = place;
    const plan = files.plan(asDirectory(target, directory), value, wanted);
    if ("outcome" in plan) return [{ ...request, outcome: plan }];
    return [{ ...request, controller: controller.name, path: directory.path, writes: plan }];
  });
}

function whyNotSummed(group: JobCgroup, limit: CgroupLimitName, version?: 1 | 2): string | undefined {
  if (group.directories.length === 0)
    return "its cgroup was not placed in a group of its tenant: it is its owner's own, a scope, or beside its caller's";
  // A weight needs no inheriting: the tenant's cgroup competes with it as one.
  if (version === undefined || isWeight(limit) || isInherited(limit, version)) return undefined;
  return `cgroup v${version} does not add up ${limit} of several cgroups`;
}

/** Executes planned limits. The outcomes are in the order of CGROUP_LIMITS, the job's own before its tenant's. */
export function executeLimits(job: JobCgroup, planned: readonly PlannedLimit[]): LimitOutcome[] {
  const implied: LimitOutcome[] = [];
  const asked = planned.flatMap((each): LimitOutcome[] => {
    const executed = executeLimit(each.of === undefined ? job : tenantCgroupOf(job), each);
    const outcome = each.of === undefined ? executed : { ...executed, of: each.of };
    if (!("isImplied" in each)) return [outcome];
    implied.push(outcome);
    return [];
  });
  const outcomes = asked.map((outcome) => withImplied(outcome, implied));
  return [...outcomes.filter(({ of }) => of === undefined), ...outcomes.filter(({ of }) => of !== undefined)];
}

/** Adds to the outcome of a quota what became of the weight that follows from it. */
function withImplied(outcome: LimitOutcome, implied: readonly LimitOutcome[]): LimitOutcome {
  const weight = implied.find(({ of }) => of === outcome.of);
  if (outcome.limit !== "cpu.max" || outcome.outcome !== "applied" || weight === undefined) return outcome;
  const text = isInForce(weight)
    ? `with cpu.weight ${weight.wanted}, so that its threads do not compete as one`
    : `its threads compete as one of those beside them: ${weight.because}`;
  return { ...outcome, because: [outcome.because, text].filter(Boolean).join("; ") };
}

function executeLimit(job: JobCgroup, planned: PlannedLimit): LimitOutcome {
  if ("outcome" in planned) return planned.outcome;
  const { limit, wanted, path, controller, writes } = planned;
  const directory = findDirectory(job.directories, path);
  // A controller can turn out to be unavailable when the directories are made.
  const isUsable = directory?.controllers.some(({ name }) => name === controller);
  if (!directory || !isUsable) return unsupported(job, limit, wanted);
  const target = asDirectory(job, directory);
  const refusals = executeWrites(target, writes);
  if (refusals.length === 0) return writes.verify(target);
  const because = [writes.explain?.() ?? [], refusals].flat().join("; ");
  // The kernel has taken the rates of one disk, and refused those of another.
  if (!writes.isAtomic && refusals.length < writes.writes.length)
    return onlyPartly(writes.verify(target), because);
  return { limit, outcome: "refused", wanted, because };
}

/** Returns what the kernel refused. */
function executeWrites(
  directory: CgroupDirectory,
  { writes, isAtomic }: Omit<LimitWrites, "verify">,
): string[] {
  const refusals: string[] = [];
  const undo: FileWrite[] = [];
  for (const { file, data, otherwise } of writes) {
    const before = isAtomic ? readCgroupFile(directory, file) : undefined;
    let refusal = writeCgroupFile(directory, file, data);
    if (refusal !== undefined && otherwise !== undefined)
      refusal = writeCgroupFile(directory, file, otherwise);
    if (refusal === undefined) {
      // The kernel takes no line of a disk together with the default.
      if (before !== undefined) undo.unshift({ file, data: restoredDiskWeight(before) });
      continue;
    }
    refusals.push(refusal);
    if (!isAtomic) continue;
    for (const each of undo) writeCgroupFile(directory, each.file, each.data);
    break;
  }
  return refusals;
}

export function applyCgroupLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return executeLimits(job, planAll(job, limits));
}

export function applyTenantLimits(job: JobCgroup, limits: Limits): LimitOutcome[] {
  return executeLimits(job, planAll(job, limits, "tenant"));
}

export function changesOf(job: JobCgroup, planned: readonly PlannedLimit[]): FileWritten[] {
  const fs = plannedFs(job.fs, job.changes);
  const directories = [...job.directories, ...tenantCgroupOf(job).directories];
  return planned.flatMap((each) => {
    if ("outcome" in each) return [];
    const directory = findDirectory(directories, each.path);
    return each.writes.writes.map(({ file, data }): FileWritten => {
      const path = `${each.path}/${file}`;
      const before = directory?.placedAs === "in-place" ? (readText(fs, path) ?? null) : null;
      const hierarchy = directory?.hierarchy.key ?? "";
      return { kind: "file-written", hierarchy, path, before, after: data };
    });
  });
}

/** Returns the outcomes to expect if the kernel accepts every planned write. */
export function expectedOutcomes(job: JobCgroup, planned: readonly PlannedLimit[]): LimitOutcome[] {
  return executeLimits({ ...job, fs: plannedFs(job.fs, job.changes) }, planned);
}

/** Removes limits of ours, so that only the limits above apply. Returns what the kernel refused. */
export function liftCgroupLimits(job: JobCgroup, limits: readonly CgroupLimitName[]): string[] {
  return limits.flatMap((limit) => {
    const place = findPlace(job, limit);
    if (!place) return [];
    const { directory } = place;
    if (directory.placedAs === "in-place") {
      const files = filesOfLimit(limit).map((file) => `${directory.path}/${file}`);
      const written = writtenIn(job.changes, directory.path).filter(({ path }) => files.includes(path));
      return written.flatMap((change) => restoreFile(job.fs, change) ?? []);
    }
    const target = asDirectory(job, directory);
    const carried = directory.path === directory.carrier && carriedBy(job.changes, directory.path)[limit];
    const lifted = carried ? [{ file: limit, data: carried }] : place.files.lift(target);
    // With cpu.idle the carried weight went away.
    const weight = limit === "cpu.idle" && directory.carrier === directory.path && ownWeight(job, directory);
    const writes = weight ? [...lifted, { file: "cpu.weight", data: weight }] : lifted;
    return executeWrites(target, { writes, isAtomic: true });
  });
}

function ownWeight({ changes }: JobCgroup, { path }: JobDirectory): string | undefined {
  return carriedBy(changes, path)["cpu.weight"];
}

/** Finds the directory of a job by its path, or by that of its carrier. */
function findDirectory(directories: readonly JobDirectory[], path: string): JobDirectory | undefined {
  const found = directories.find((each) => each.path === path || each.carrier === path);
  return found && { ...found, path };
}

function findPlace({ directories }: JobCgroup, limit: CgroupLimitName) {
  for (const directory of directories) {
    for (const controller of directory.controllers) {
      const files = controller.limits[limit];
      if (files) return { directory: withHolder(directory, limit), controller, files };
    }
  }
  return undefined;
}

function unsupported(job: JobCgroup, limit: CgroupLimitName, wanted: string, reason?: string): LimitOutcome {
  const { v1, v2 } = LIMITS[limit];
  const names = [...new Set([v2.controller, v1.controller])];
  const because =
    reason ??
    job.unavailable.find(({ controller }) => names.includes(controller))?.because ??
    `no cgroup controller for it is mounted (${names.join(" or ")})`;
  return { limit, outcome: "unsupported", wanted, because };
}
