import type { Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS, wantedText } from "../../limits/table.ts";
import type { CgroupFs } from "../cgroupFs.ts";

/**
 * What a file of somebody else's cgroup held before a limit was written to it in place, and what it held then.
 * `after` is `null` between the record and the write.
 */
export interface SavedValue {
  file: string;
  before: string;
  after: string | null;
}

/** cgroup v2 keeps each limit in the file of its name. */
export function limitFilesOf(limits: Limits): string[] {
  return CGROUP_LIMITS.filter((name) => wantedText(limits, name) !== undefined);
}

/**
 * To be called before writes: adds what the files hold that are not remembered yet, and takes what the owner has written
 * over ours for what goes back one day. Returns whether there was anything new.
 */
export function saveValues(fs: CgroupFs, path: string, files: string[], held: SavedValue[]): boolean {
  let isNew = false;
  for (const each of held) {
    const current = readText(fs, path, each.file);
    // Where nobody noted what was written, the value may as well be ours.
    if (each.after === null || current === undefined || current === each.after) continue;
    Object.assign(each, { before: current, after: null });
    isNew = true;
  }
  const news = files.filter((file) => held.every((each) => each.file !== file));
  for (const file of news) {
    const before = readText(fs, path, file);
    if (before !== undefined) held.push({ file, before, after: null });
  }
  return isNew || news.length > 0;
}

/** To be called after the writes: whose value it is, is told by comparing with this later. */
export function recordWritten(fs: CgroupFs, path: string, held: SavedValue[]): void {
  for (const each of held) each.after = readText(fs, path, each.file) ?? null;
}

/** What the owner's file would hold without us: another value than ours is the owner's newest. */
export function ownersText(
  fs: CgroupFs,
  path: string,
  { file, before, after }: SavedValue,
): string | undefined {
  const current = readText(fs, path, file);
  return current === after ? before : current;
}

/** Puts back what was there, and leaves alone what somebody has changed since. Returns what could not be put back. */
export function restoreValues(fs: CgroupFs, path: string, held: SavedValue[]): string[] {
  return held.flatMap(({ file, before, after }) => {
    const current = readText(fs, path, file);
    // A file that is gone went with its controller or its cgroup, and the value with it.
    if (current === undefined || current === before || (after !== null && current !== after)) return [];
    try {
      for (const data of writesFor(fs, path, file, current, before)) fs.write(`${path}/${file}`, data);
      return [];
    } catch (error) {
      return [`${path}/${file} back to "${before}": ${error}`];
    }
  });
}

function writesFor(fs: CgroupFs, path: string, file: string, current: string, before: string): string[] {
  if (file === "io.max") return ioMaxWrites(current, before);
  if (file !== "cpuset.cpus" || before !== "") return [before];
  // The kernel empties no list of a cgroup with processes (ENOSPC). All CPUs that there are above limit nothing, and the
  // list goes with the controller, which is switched off above next: else it would not have been written.
  const all = readText(fs, path.slice(0, path.lastIndexOf("/")), "cpuset.cpus.effective");
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

function readText(fs: CgroupFs, path: string, file: string): string | undefined {
  try {
    return fs.read(`${path}/${file}`).trim();
  } catch {
    return undefined;
  }
}
