import type { LimitOutcome } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";
import { type CgroupDirectory, readCgroupFile, type WriteResult, writeCgroupFile } from "./file.ts";

/** One write(2) to a file of a cgroup. */
export interface FileWrite {
  file: string;
  data: string;
  /** Written instead when the kernel refuses `data`. */
  otherwise?: string;
}

/** The writes for one limit, and how to check afterwards what the kernel has. */
export interface LimitWrites {
  writes: readonly FileWrite[];
  /** All or nothing: after a refusal the files written before get their earlier values back. */
  isAtomic?: true;
  verify(directory: CgroupDirectory): LimitOutcome;
}

/** Writes a limit and reads it back. */
export function applyWrites(
  limit: LimitName,
  wanted: string,
  directory: CgroupDirectory,
  { writes, isAtomic, verify }: LimitWrites,
): LimitOutcome {
  const refusals = executeWrites(directory, writes, isAtomic);
  if (refusals.length > 0) return { limit, outcome: "refused", wanted, because: refusals.join("; ") };
  return verify(directory);
}

/** Returns what the kernel refused. */
export function executeWrites(
  directory: CgroupDirectory,
  writes: readonly FileWrite[],
  isAtomic = false,
): string[] {
  const refusals: string[] = [];
  const undo: FileWrite[] = [];
  for (const { file, data, otherwise } of writes) {
    const before = isAtomic ? readCgroupFile(directory, file) : undefined;
    let refusal = writeCgroupFile(directory, file, data);
    if (refusal !== undefined && otherwise !== undefined)
      refusal = writeCgroupFile(directory, file, otherwise);
    if (refusal === undefined) {
      if (before !== undefined) undo.unshift({ file, data: before });
      continue;
    }
    refusals.push(refusal);
    if (!isAtomic) continue;
    for (const each of undo) writeCgroupFile(directory, each.file, each.data);
    break;
  }
  return refusals;
}

/** Returns the outcome of a write by the file's content after it. */
export function compareReadBack(
  limit: LimitName,
  wanted: string,
  result: WriteResult,
  isSame: (readBack: string) => boolean,
): LimitOutcome {
  if ("refusal" in result) return { limit, outcome: "refused", wanted, because: result.refusal };
  const actual = result.readBack;
  if (isSame(actual)) return { limit, outcome: "applied", wanted, actual };
  return { limit, outcome: "partial", wanted, actual, because: `the kernel holds ${actual}` };
}
