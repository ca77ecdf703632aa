import { LIMITS } from "../../../limits/table.ts";
import type { CgroupFs } from "../../cgroupFs.ts";
import type { CarriedFiles } from "../backend.ts";
import { readText } from "../file.ts";

/** The weight of an untouched cgroup: "Weights" of Documentation/admin-guide/cgroup-v2.rst. */
const DEFAULT_WEIGHT = 100;

/** Files of other limits than those of ours, which are set as they are. A weight is one that is below the default. */
const CARRIED: Readonly<Record<string, (text: string) => boolean>> = {
  "cpu.max": (text) => !text.startsWith("max "),
  "cpu.weight": (text) => Number(text) < DEFAULT_WEIGHT,
  "cpuset.mems": (text) => text !== "",
  "memory.swap.max": isLimit,
};

/** The texts of files that limit nothing. With any other text, the file cannot be carried. */
const NEUTRAL: Readonly<Record<string, string>> = {
  "cgroup.freeze": "0",
  "cgroup.max.depth": "max",
  "cgroup.max.descendants": "max",
  "cpu.idle": "0",
  "cpuset.cpus.exclusive": "",
  "cpuset.cpus.partition": "member",
  "io.prio.class": "no-change",
};

/**
 * Reads the limits that a cgroup sets itself, as texts for another one beside it, which is then as limited. Returns a string
 * that names a limit which ffrtmp cannot set there. Protections (memory.low) are no limits: without them a process has less.
 */
export function readCarried(fs: CgroupFs, path: string): CarriedFiles | string {
  const carried: Record<string, string> = {};
  for (const file of fs.files(path)) {
    const text = readText(fs, `${path}/${file}`);
    // Files that are only written, such as cgroup.kill.
    if (text === undefined) continue;
    const untouched = Object.hasOwn(LIMITS, file) ? LIMITS[file as "cpu.max"].v2.untouched : undefined;
    const isCarried = CARRIED[file] ?? (untouched === undefined ? undefined : () => text !== untouched);
    if (isCarried?.(text)) carried[file] = text;
    else if (isCarried === undefined && isForeignLimit(file, text))
      return `a cgroup beside ${path} would not have its ${file} (${text.split("\n").join("; ")})`;
  }
  return carried;
}

function isForeignLimit(file: string, text: string): boolean {
  const neutral = NEUTRAL[file];
  if (neutral !== undefined) return text !== neutral;
  // default 100
  // 8:0 50
  if (/^io(\.bfq)?\.weight$/.test(file))
    return [...text.matchAll(/ (\d+)$/gm)].some(([, weight]) => Number(weight) < DEFAULT_WEIGHT);
  return /\.(max|high)$/.test(file) && isLimit(text);
}

// max
// 1073741824
// mlx4_0 hca_handle=2 hca_object=max
// 50.00   ← cpu.uclamp.max
function isLimit(text: string): boolean {
  return text.split(/\s+/).some((word) => /^(\w+=)?\d+(\.\d+)?$/.test(word));
}
