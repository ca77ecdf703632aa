import { constrainingCgroups, limitedByAncestor } from "./constraints.ts";
import { type CgroupDirectory, readBack, readCgroupFile, readText } from "./file.ts";
import { compareReadBack, type FileWrite, type LimitFiles } from "./limitFiles.ts";

// A cgroup has a weight, or cpu.idle = 1 in place of one: it runs when nothing else wants the CPU. While cpu.idle is 1, the
// kernel refuses a weight (EINVAL), and 1 → 0 sets the weight to the default: sched_group_set_idle(), kernel/sched/fair.c.
// cpu.idle has the same form on v1 and v2. From 5.15.

const IDLE = "cpu.idle";
const DEFAULT_WEIGHT = "100";

/** The files of cpu.idle. */
export const cpuIdle: LimitFiles<number> = {
  plan(directory, value, wanted) {
    const owners = ownersIdle(directory);
    if (owners?.isIdle) return limitedByAncestor(IDLE, wanted, "1", owners.path);
    return {
      writes: [{ file: IDLE, data: String(value) }],
      explain: () =>
        directory.fs.exists(`${directory.path}/${IDLE}`) ? undefined : "the kernel has cpu.idle from 5.15",
      verify: (written) => compareReadBack(IDLE, wanted, readBack(written, IDLE), (text) => text === wanted),
    };
  },
  lift: ({ fs, path }) => (isIdle({ fs, path }) ? [{ file: IDLE, data: "0" }] : []),
  read: (directory) => (isIdle(directory) ? 1 : undefined),
};

/** Adds to the files of a weight what cpu.idle means for it. */
export function withIdle(weight: LimitFiles<number>): LimitFiles<number> {
  return {
    ...weight,
    plan(directory, value, wanted) {
      const owners = ownersIdle(directory);
      if (owners?.isIdle) return limitedByAncestor("cpu.weight", wanted, "idle", owners.path);
      const planned = weight.plan(directory, value, wanted);
      if ("outcome" in planned || !isIdle(directory)) return planned;
      const writes: FileWrite[] = [{ file: IDLE, data: "0" }, ...planned.writes];
      return { ...planned, writes, isAtomic: true };
    },
    lift: (directory) => (isIdle(directory) ? [] : weight.lift(directory)),
    read: (directory) => (isIdle(directory) ? 0 : weight.read(directory)),
  };
}

function ownersIdle(directory: CgroupDirectory): { path: string; isIdle: boolean } | undefined {
  const [owner] = constrainingCgroups(directory, IDLE);
  return owner && { path: owner.path, isIdle: isIdle(owner) };
}

function isIdle(directory: Pick<CgroupDirectory, "fs" | "path">): boolean {
  return readCgroupFile(directory, IDLE) === "1";
}

/**
 * Reads a file as it will be when cpu.idle is 0 again: a weight that gave way to cpu.idle has the kernel's default then, and
 * cpu.idle is restored first.
 */
export function readWithoutIdle(fs: CgroupDirectory["fs"], path: string): string | undefined {
  const text = readText(fs, path);
  if (text === undefined || !path.endsWith("/cpu.weight")) return text;
  return isIdle({ fs, path: path.slice(0, -"/cpu.weight".length) }) ? DEFAULT_WEIGHT : text;
}
