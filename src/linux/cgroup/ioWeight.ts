import { fromBfqWeight, toBfqWeight } from "../../limits/compare.ts";
import { type LimitOutcome, onlyPartly } from "../../limits/outcome.ts";
import { parseDigits } from "../../sys/digits.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { type DiskWeights, readDiskWeights } from "../diskWeight.ts";
import { constrainingCgroups, limitedByAncestor } from "./constraints.ts";
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

/** A file, and the number that it gets. */
interface Target extends DiskWeightFile {
  readonly number: number;
  /** The number of the cgroup's owner, which is less than what was asked for, and stays. */
  readonly isOwners: boolean;
}

/**
 * The share of contended disks. It is written for BFQ, for io.cost, or for both, by what divides the disks of the machine, and
 * not at all where neither does. Each has a weight of its own, and none of an owner grows. `readWeights`: returns on which disks
 * a weight acts.
 */
export function ioWeightFiles(
  version: 1 | 2,
  readWeights: (directory: CgroupDirectory) => DiskWeights = weightsAround,
): LimitFiles<number> {
  const actingFiles = (acting: DiskWeights["acting"]): readonly DiskWeightFile[] =>
    FILES[version].filter(({ isBfq }) => acting.some(({ by }) => (by === BFQ) === isBfq));
  return {
    plan(directory, weight, wanted) {
      const { acting, without } = readWeights(directory);
      if (acting.length === 0)
        return { limit: LIMIT, outcome: "unsupported", wanted, because: noneText(without) };
      const [owner] = constrainingCgroups(directory, LIMIT);
      const targets = actingFiles(acting).map((each) => targetFor(each, weight, owner));
      if (owner && targets.every(({ isOwners }) => isOwners)) {
        const most = Math.max(...targets.map((each) => weightOf(each, each.number)));
        return limitedByAncestor(LIMIT, wanted, String(most), owner.path);
      }
      return {
        writes: targets.map((each) => ({ file: each.file, data: `${each.prefix}${each.number}` })),
        isAtomic: true,
        verify(written) {
          const outcomes = targets.map((each): LimitOutcome => {
            const result = readBack(written, each.file);
            const number = "refusal" in result ? result : { readBack: String(defaultIn(result.readBack)) };
            const outcome = compareReadBack(LIMIT, wanted, number, (text) => text === String(each.number));
            return each.isOwners
              ? onlyPartly(outcome, `its owner has ${each.number} in ${each.file}, which stays`)
              : outcome;
          });
          const [first] = outcomes.filter(({ outcome }) => outcome !== "applied").concat(outcomes);
          return qualify(first as LimitOutcome, acting, without);
        },
      };
    },
    lift: (directory) =>
      FILES[version]
        .filter(({ file }) => readCgroupFile(directory, file) !== undefined)
        .map((each): FileWrite => ({ file: each.file, data: `${each.prefix}${DEFAULT_WEIGHT}` })),
    read(directory) {
      // What divides no disk now is neither written nor a limit. Of two weights, the greater one is what the processes can have.
      const weights = actingFiles(readWeights(directory).acting).flatMap((each) => {
        const number = defaultIn(readCgroupFile(directory, each.file) ?? "");
        return number === undefined ? [] : [weightOf(each, number)];
      });
      return weights.length === 0 ? undefined : Math.max(...weights);
    },
  };
}

/** `owner`: the cgroup with the values that its owner has given it. */
function targetFor(file: DiskWeightFile, weight: number, owner: CgroupDirectory | undefined): Target {
  const number = file.isBfq ? toBfqWeight(weight) : weight;
  const owners = owner && defaultIn(readCgroupFile(owner, file.file) ?? "");
  const isOwners = owners !== undefined && owners <= number;
  return { ...file, number: isOwners ? owners : number, isOwners };
}

function weightOf({ isBfq }: DiskWeightFile, number: number): number {
  return isBfq ? fromBfqWeight(number) : number;
}

/** Returns the write after which a file has the weight of an earlier text of it; lines of single disks stay. */
export function restoredDiskWeight(before: string): string {
  return before.split("\n").find((line) => line.startsWith("default ")) ?? before;
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
