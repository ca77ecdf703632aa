import { fromBfqWeight, toBfqWeight } from "../../limits/compare.ts";
import { type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import { parseDigits } from "../../sys/digits.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { type DiskWeights, readDiskWeights } from "../diskWeight.ts";
import { limitedByAncestor, tightestAbove } from "./constraints.ts";
import { type CgroupDirectory, readBack, readCgroupFile } from "./file.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { compareReadBack, type FileWrite, type LimitFiles } from "./limitFiles.ts";

const LIMIT = "io.weight";
const DEFAULT_WEIGHT = 100;
const BFQ = "bfq";
/** More disks would fill the screen. */
const MAX_NAMED = 8;

/** A file with the weight of a cgroup, for one of the two that divide disks. */
interface DiskWeightFile {
  readonly file: string;
  /** The text before the number in the file. */
  readonly prefix: "default " | "";
  readonly isBfq: boolean;
}

/** v2 has a file for io.cost, and one for BFQ while its module is loaded; v1 has one for BFQ. */
const FILES: Record<1 | 2, readonly DiskWeightFile[]> = {
  1: [{ file: "blkio.bfq.weight", prefix: "", isBfq: true }],
  2: [
    { file: "io.weight", prefix: "default ", isBfq: false },
    { file: "io.bfq.weight", prefix: "default ", isBfq: true },
  ],
};

/** The files of v2 that one weight is in. */
export const DISK_WEIGHT_FILES: readonly string[] = FILES[2].map(({ file }) => file);

/**
 * The share of contended disks. It is written for BFQ, for io.cost, or for both, by what divides the disks of the machine, and
 * not at all where neither does. `readWeights`: returns on which disks a weight acts.
 */
export function ioWeightFiles(
  version: 1 | 2,
  readWeights: (directory: CgroupDirectory) => DiskWeights = weightsAround,
): LimitFiles<number> {
  const read = (directory: CgroupDirectory): number | undefined => {
    const weights = FILES[version].flatMap((each) => {
      const number = defaultIn(readCgroupFile(directory, each.file) ?? "");
      return number === undefined ? [] : [each.isBfq ? fromBfqWeight(number) : number];
    });
    // The file of the one that divides no disk is not written.
    return weights.find((weight) => weight !== DEFAULT_WEIGHT) ?? weights[0];
  };
  return {
    plan(directory, weight, wanted) {
      const { acting, without } = readWeights(directory);
      if (acting.length === 0)
        return { limit: LIMIT, outcome: "unsupported", wanted, because: noneText(without) };
      const above = tightestAbove(directory, LIMIT, read);
      if (above && above.value <= weight)
        return limitedByAncestor(LIMIT, wanted, String(above.value), above.path);
      const files = FILES[version].filter(({ isBfq }) => acting.some(({ by }) => (by === BFQ) === isBfq));
      return {
        writes: files.map((each) => ({ file: each.file, data: textOf(each, weight) })),
        isAtomic: true,
        verify(written) {
          const outcomes = files.map((each): LimitOutcome => {
            const expected = String(numberOf(each, weight));
            const result = readBack(written, each.file);
            const number = "refusal" in result ? result : { readBack: String(defaultIn(result.readBack)) };
            return compareReadBack(LIMIT, wanted, number, (text) => text === expected);
          });
          const [first] = outcomes.filter(({ outcome }) => outcome !== "applied").concat(outcomes);
          return qualify(first as LimitOutcome, acting, without);
        },
      };
    },
    lift: (directory) =>
      FILES[version]
        .filter(({ file }) => readCgroupFile(directory, file) !== undefined)
        .map((each): FileWrite => ({ file: each.file, data: textOf(each, DEFAULT_WEIGHT) })),
    read,
  };
}

/** Returns the write after which a file has the weight of an earlier text of it; lines of single disks stay. */
export function restoredDiskWeight(before: string): string {
  return before.split("\n").find((line) => line.startsWith("default ")) ?? before;
}

function numberOf({ isBfq }: DiskWeightFile, weight: number): number {
  return isBfq ? toBfqWeight(weight) : weight;
}

function textOf(file: DiskWeightFile, weight: number): string {
  return `${file.prefix}${numberOf(file, weight)}`;
}

// default 100
// 8:16 200     ← of single disks, which ffrtmp does not write
// 100          ← v1
function defaultIn(text: string): number | undefined {
  const digits = /^(?:default )?(\d+)$/m.exec(text)?.[1];
  return digits === undefined ? undefined : parseDigits(digits);
}

function qualify(
  outcome: LimitOutcome,
  acting: DiskWeights["acting"],
  without: DiskWeights["without"],
): LimitOutcome {
  if (without.length === 0) return outcome;
  return onlyPartly(outcome, `acts on ${acting.map(({ disk, by }) => `${disk} (${by})`).join(", ")} only`);
}

function noneText([first, ...others]: DiskWeights["without"]): string {
  if (first === undefined) return "no disk of this machine is visible";
  const named = [first, ...others].map(({ disk, scheduler }) => `${disk}: ${scheduler}`).slice(0, MAX_NAMED);
  return `no disk of this machine has a scheduler with weights (${named.join(", ")}); echo bfq >/sys/block/${first.disk}/queue/scheduler makes it act there`;
}

function weightsAround({ fs, hierarchy }: CgroupDirectory): DiskWeights {
  return readMachineDiskWeights(fs, [hierarchy]);
}

/** Returns on which disks weights act. io.cost.qos is in the root of cgroup v2 alone, so that a container does not see it. */
export function readMachineDiskWeights(fs: CgroupFs, hierarchies: readonly Hierarchy[]): DiskWeights {
  const unified = hierarchies.find(({ version, controllers }) => version === 2 && controllers.includes("io"));
  const qos =
    unified === undefined ? undefined : readCgroupFile({ fs, path: unified.mountPoint }, "io.cost.qos");
  return readDiskWeights(qos ?? "");
}
