import { basename, dirname } from "node:path";
import { formatLimit, type Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS, type CgroupLimitName } from "../../limits/table.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { FileWritten } from "../change.ts";
import { readWithoutIdle } from "./cpuShare.ts";
import { readText } from "./file.ts";
import { DISK_WEIGHT_FILES, restoredDiskWeight } from "./ioWeight.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { weightFileOf } from "./weightFile.ts";

/** Returns the files of a limit in a cgroup v2: the one of its name, and for the weight of disks two. */
export function filesOfLimit(limit: CgroupLimitName): readonly string[] {
  return limit === "io.weight" ? DISK_WEIGHT_FILES : [limit];
}

function limitFilesOf(limits: Limits): string[] {
  const asked = CGROUP_LIMITS.filter((name) => formatLimit(limits, name) !== undefined).flatMap(filesOfLimit);
  // Each changes the other: see cpuShare.ts. The weight is restored after cpu.idle, so it comes first.
  if (!asked.includes("cpu.idle") && !asked.includes("cpu.weight")) return asked;
  return ["cpu.weight", "cpu.idle", ...asked.filter((name) => name !== "cpu.weight" && name !== "cpu.idle")];
}

/**
 * Adds to the journal the values in the owner's cgroup that a job is placed in, before these limits are written. A value
 * that the owner wrote over ours since becomes the one to restore. Returns whether the journal changed.
 */
export function recordOwnersValues(job: JobCgroup, limits: Limits): boolean {
  const { fs, changes, directories } = job;
  const updated = changes.map((change) => {
    if (change.kind !== "file-written") return change;
    const before = readWithoutIdle(fs, change.path);
    // Where the write was not recorded, the value can be ours.
    if (change.after === null || before === undefined || before === change.after) return change;
    return { ...change, before, after: null };
  });
  const added = directories.flatMap(({ hierarchy, path: cgroup, placedAs }) =>
    limitFilesOf(placedAs === "in-place" ? limits : {}).flatMap((file): FileWritten[] => {
      const path = `${cgroup}/${file}`;
      const before = readWithoutIdle(fs, path);
      const isKnown = changes.some((change) => change.kind === "file-written" && change.path === path);
      if (before === undefined || isKnown) return [];
      return [{ kind: "file-written", hierarchy: hierarchy.key, path, before, after: null }];
    }),
  );
  job.changes = [...updated, ...added];
  return added.length > 0 || updated.some((change, index) => change !== changes[index]);
}

/**
 * Records the content of the owner's files after the writes, so that a later read can distinguish our value from the
 * owner's. `limits` restricts it to the files of these limits, and to writes that are not recorded yet.
 */
export function recordWritten(job: JobCgroup, limits?: Limits): void {
  const files = limits && limitFilesOf(limits);
  job.changes = job.changes.map((change) => {
    if (change.kind !== "file-written") return change;
    const isMeant = !files || change.after === null || files.includes(basename(change.path));
    return isMeant ? { ...change, after: readWithoutIdle(job.fs, change.path) ?? null } : change;
  });
}

/** Returns whether ffrtmp writes a file with this name in the cgroup of an owner. */
export function isLimitFile(name: string): boolean {
  return [...CGROUP_LIMITS, ...DISK_WEIGHT_FILES, weightFileOf({ version: 1 }).file].includes(name);
}

/** Restores a file, unless its owner has changed it since. Returns why it could not be restored. */
export function restoreFile(fs: CgroupFs, { path, before, after }: FileWritten): string | undefined {
  // The path is from a record: see whyUnusable.
  if (!isLimitFile(basename(path))) return `${path} is no file of a limit`;
  const current = readWithoutIdle(fs, path);
  // A file that is gone went away with its controller or its cgroup, and the value with it.
  if (before === null || current === undefined || current === before) return undefined;
  if (after !== null && current !== after) return undefined;
  try {
    for (const data of writesFor(fs, path, current, before)) fs.write(path, data);
    return undefined;
  } catch (error) {
    return `${path} back to "${before}": ${error}`;
  }
}

function writesFor(fs: CgroupFs, path: string, current: string, before: string): string[] {
  if (path.endsWith("/io.max")) return ioMaxWrites(current, before);
  if (DISK_WEIGHT_FILES.includes(basename(path))) return [restoredDiskWeight(before)];
  if (!path.endsWith("/cpuset.cpus") || before !== "") return [before];
  // The kernel empties no list of a cgroup with processes (ENOSPC). All CPUs of the cgroup above limit nothing. The list
  // goes away with its controller, which is disabled next: without that it would not have been written.
  const all = readText(fs, `${dirname(dirname(path))}/cpuset.cpus.effective`);
  return all === undefined ? [] : [all];
}

/** io.max takes one device per write, and a device without limits has no line. */
function ioMaxWrites(current: string, before: string): string[] {
  const lineOf = (text: string, device: string): string | undefined =>
    text.split("\n").find((line) => line.startsWith(`${device} `));
  const devices = `${current}\n${before}`.split("\n").flatMap((line) => line.split(" ")[0] || []);
  return [...new Set(devices)]
    .filter((device) => lineOf(current, device) !== lineOf(before, device))
    .map((device) => lineOf(before, device) ?? `${device} rbps=max wbps=max riops=max wiops=max`);
}
