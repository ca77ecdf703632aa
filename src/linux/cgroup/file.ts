import type { LimitOutcome } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { CgroupDirectory } from "./controller.ts";
import { ancestorsOf } from "./hierarchies.ts";
import { ownersText } from "./savedValues.ts";

/** One attempt on a cgroup file: what it holds afterwards, or the reason with path and data. */
export type WriteResult = { readBack: string } | { refusal: string };

export function writeCgroupFile(directory: CgroupDirectory, file: string, data: string): WriteResult {
  const path = `${directory.path}/${file}`;
  try {
    directory.fs.write(path, data);
  } catch (error) {
    return { refusal: `${describeErrno(error)} writing "${data}" to ${path}` };
  }
  try {
    return { readBack: directory.fs.read(path).trim() };
  } catch (error) {
    return { refusal: `${describeErrno(error)} reading ${path} back` };
  }
}

/** The trimmed text of a cgroup file; `undefined` where this kernel or controller has no such file, or it may not be read. */
export function readCgroupFile(directory: CgroupDirectory, file: string): string | undefined {
  try {
    return directory.fs.read(`${directory.path}/${file}`).trim();
  } catch {
    return undefined;
  }
}

/** A whole number from a one-number file. `"max"` and anything else that is no number become `undefined`. */
export function readNumber(directory: CgroupDirectory, file: string): number | undefined {
  const text = readCgroupFile(directory, file);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

// nr_throttled 12
// throttled_usec 5000000
export function readCounters(directory: CgroupDirectory, file: string): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  for (const line of (readCgroupFile(directory, file) ?? "").split("\n")) {
    const [name, value] = line.split(" ");
    if (name && value && /^\d+$/.test(value)) counters.set(name, Number(value));
  }
  return counters;
}

/**
 * The cgroups whose limits hold for a new limit of this one already, nearest first: those above, and one that is its
 * owner's itself, as it is without us.
 */
export function constrainingCgroups(directory: CgroupDirectory): CgroupDirectory[] {
  const above = ancestorsOf(directory.hierarchy, directory.path).map((path) => ({ ...directory, path }));
  const { ownersHeld, fs, path } = directory;
  if (!ownersHeld) return above;
  const read = (file: string): string => {
    const held = ownersHeld.find((each) => `${path}/${each.file}` === file);
    return (held && ownersText(fs, path, held)) ?? fs.read(file);
  };
  return [{ ...directory, fs: { ...fs, read } }, ...above];
}

/**
 * The tightest value that holds already, up to the mount point.
 * `read` gives the value of one cgroup, or `undefined` where it sets no limit.
 */
export function tightestAbove(
  directory: CgroupDirectory,
  read: (ancestor: CgroupDirectory) => number | undefined,
): { value: number; path: string } | undefined {
  let tightest: { value: number; path: string } | undefined;
  for (const holder of constrainingCgroups(directory)) {
    const value = read(holder);
    if (value !== undefined && (!tightest || value < tightest.value)) tightest = { value, path: holder.path };
  }
  return tightest;
}

/** Applied without a write: what holds above is as tight or tighter, so our value would change nothing. */
export function limitedByAncestor(
  limit: LimitName,
  wanted: string,
  holder: { text: string; path: string },
): LimitOutcome {
  return {
    limit,
    outcome: "applied",
    wanted,
    actual: holder.text,
    because: `not written: ${holder.path} already holds it to ${holder.text}`,
    heldBy: holder.path,
  };
}

/** Judges a write by what was read back. `same` says whether the kernel's text means what was asked for. */
export function compareReadBack(
  limit: LimitName,
  wanted: string,
  write: WriteResult,
  same: (readBack: string) => boolean,
): LimitOutcome {
  if ("refusal" in write) return { limit, outcome: "refused", wanted, because: write.refusal };
  const { readBack } = write;
  if (same(readBack)) return { limit, outcome: "applied", wanted, actual: readBack };
  return { limit, outcome: "partial", wanted, actual: readBack, because: `the kernel holds ${readBack}` };
}
