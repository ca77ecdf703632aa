import type { LimitOutcome } from "../../limits/outcome.ts";
import { type CgroupLimitName, LIMITS, type LimitName, type ValueOf } from "../../limits/table.ts";
import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import { type CgroupDirectory, readBack, readNumber, type WriteResult } from "./file.ts";

/** The files in which one cgroup version keeps one limit. */
export interface LimitFiles<T = ValueOf<LimitName>> {
  /**
   * Plans how a value is set; reads only. An outcome means that nothing has to be written, or can be. `wanted` is the
   * value as a person writes it.
   */
  plan(directory: CgroupDirectory, value: T, wanted: string): LimitWrites | LimitOutcome;
  /** Returns the writes after which only the limits above apply, as in a new cgroup. */
  lift(directory: CgroupDirectory): FileWrite[];
  /** Reads the limit that the cgroup itself sets; `undefined` where it sets none or its controller is off. */
  read(directory: CgroupDirectory): T | undefined;
}

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
  /** Returns why the kernel refused a write, where more is known than its errno. */
  explain?(): string | undefined;
  verify(directory: CgroupDirectory): LimitOutcome;
}

interface NumberFile {
  /** Absent: the name of the limit. */
  file?: string;
  /** The text in a new cgroup. Absent: that of cgroup v2. */
  untouched?: string;
  /** The kernel rounds the number down to a multiple of this. */
  multipleOf?: number;
  toFile?(value: number): number;
  /** Returns `undefined` for a number that means no limit. */
  fromFile?(number: number): number | undefined;
  /** Returns whether the number of a cgroup above limits this one too. Absent: for every inherited limit. */
  isBoundBy?(ancestor: CgroupDirectory): boolean;
  /** Adds to an outcome what the limit means for the workload in this cgroup. */
  qualify?(outcome: LimitOutcome, directory: CgroupDirectory): LimitOutcome;
}

/** A limit that is one number in one file. It is not written where a cgroup above has a number as low. */
export function numberFile(limit: CgroupLimitName, options: NumberFile = {}): LimitFiles<number> {
  const { file = limit, untouched = LIMITS[limit].v2.untouched, multipleOf = 1 } = options;
  const { toFile = Number, fromFile = Number, isBoundBy = () => true, qualify = (each) => each } = options;
  const read = (directory: CgroupDirectory): number | undefined => {
    const number = readNumber(directory, file);
    return number === undefined ? undefined : fromFile(number);
  };
  return {
    plan(directory, value, wanted) {
      const above = tightestAbove(directory, limit, (each) => (isBoundBy(each) ? read(each) : undefined));
      if (above && above.value <= value)
        return qualify(limitedByAncestor(limit, wanted, String(above.value), above.path), directory);
      const number = toFile(value);
      const isSame = (text: string): boolean => {
        const difference = number - Number(text);
        return difference >= 0 && difference < multipleOf;
      };
      return {
        writes: [{ file, data: String(number) }],
        verify: (written) =>
          qualify(compareReadBack(limit, wanted, readBack(written, file), isSame), written),
      };
    },
    lift: () => [{ file, data: untouched }],
    read,
  };
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
  return { limit, outcome: "partial", wanted, actual, because: `the kernel has ${actual}` };
}
