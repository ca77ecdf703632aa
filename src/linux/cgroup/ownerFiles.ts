import { dirname } from "node:path";
import type { Limits } from "../../limits/limits.ts";
import { formatLimit } from "../../limits/limits.ts";
import { CGROUP_LIMITS } from "../../limits/table.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { CgroupChange, FileWritten } from "../change.ts";
import { readText } from "./file.ts";
import { type JobCgroup, writtenIn } from "./jobCgroup.ts";

/** The files of limits in a cgroup v2: each is in the file of its name. */
function limitFilesOf(limits: Limits): string[] {
  return CGROUP_LIMITS.filter((name) => formatLimit(limits, name) !== undefined);
}

/**
 * Adds to the journal what the files of the owner's cgroup contain that a job is placed in, before these limits are
 * written. A value that the owner wrote over ours since becomes the one to restore. Returns whether the journal changed.
 */
export function recordOwnersValues(job: JobCgroup, limits: Limits): boolean {
  let isChanged = false;
  for (const { hierarchy, path, placedAs } of job.directories) {
    if (placedAs !== "in-place") continue;
    const known = writtenIn(job.changes, path);
    for (const written of known) {
      const current = readText(job.fs, written.path);
      // Where the write was not recorded, the value can be ours.
      if (written.after === null || current === undefined || current === written.after) continue;
      replace(job, written, { ...written, before: current, after: null });
      isChanged = true;
    }
    for (const file of limitFilesOf(limits)) {
      const limitFile = `${path}/${file}`;
      const before = readText(job.fs, limitFile);
      if (before === undefined || known.some((each) => each.path === limitFile)) continue;
      job.changes.push({
        kind: "file-written",
        hierarchy: hierarchy.key,
        path: limitFile,
        before,
        after: null,
      });
      isChanged = true;
    }
  }
  return isChanged;
}

/**
 * Records what the files contain after the writes, so that a later read can tell our value from the owner's. `limits`
 * restricts it to the files of these limits, and to writes that are not recorded yet.
 */
export function recordWritten(job: JobCgroup, limits?: Limits): void {
  const files = limits === undefined ? undefined : limitFilesOf(limits);
  for (const { path, placedAs } of job.directories) {
    if (placedAs !== "in-place") continue;
    for (const written of writtenIn(job.changes, path)) {
      const isMeant =
        !files || written.after === null || files.some((file) => written.path === `${path}/${file}`);
      if (isMeant) replace(job, written, { ...written, after: readText(job.fs, written.path) ?? null });
    }
  }
}

function replace(job: JobCgroup, old: CgroupChange, change: CgroupChange): void {
  job.changes = job.changes.map((each) => (each === old ? change : each));
}

/** Restores a file, unless its owner has changed it since. Returns why it could not be restored. */
export function restoreFile(fs: CgroupFs, { path, before, after }: FileWritten): string | undefined {
  const current = readText(fs, path);
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
