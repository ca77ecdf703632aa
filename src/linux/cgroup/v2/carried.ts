import { CGROUP_LIMITS, LIMITS } from "../../../limits/table.ts";
import type { CgroupFs } from "../../cgroupFs.ts";
import type { CarriedFiles } from "../../change.ts";
import { readText } from "../file.ts";
import { DISK_WEIGHT_FILES } from "../ioWeight.ts";

/** The weight of an untouched cgroup: "Weights" of Documentation/admin-guide/cgroup-v2.rst. */
const DEFAULT_WEIGHT = 100;

/** Files that are carried by a condition of their own, or are no limit that a job can ask for. */
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
    const kind = kindOf(file);
    const text = kind && readText(fs, `${path}/${file}`);
    if (!kind || text === undefined || !kind.limits(text)) continue;
    if (!kind.canBeSet) return notCarried(path, `${file} ${text.split("\n").join("; ")}`);
    carried[file] = text;
  }
  // The weight gave way to it: it reads 0, and 1 from Linux 6.12.
  if (carried["cpu.idle"] !== undefined) delete carried["cpu.weight"];
  if (fs.hasPrograms(path)) return notCarried(path, "BPF programs");
  return carried;
}

function notCarried(path: string, what: string): string {
  return `${path} has ${what}, which cannot be carried to another cgroup`;
}

/** Returns how to read a file that can limit the processes of a cgroup; `undefined` for any other file. */
function kindOf(file: string): { canBeSet: boolean; limits(text: string): boolean } | undefined {
  const special = CARRIED[file];
  if (special !== undefined) return { canBeSet: true, limits: special };
  // With lines of single disks, and one in each of two files.
  if (DISK_WEIGHT_FILES.includes(file)) return { canBeSet: false, limits: isLowWeight };
  const own = CGROUP_LIMITS.find((name) => name === file);
  if (own !== undefined) return { canBeSet: true, limits: (text) => text !== LIMITS[own].v2.untouched };
  const neutral = NEUTRAL[file];
  if (neutral !== undefined) return { canBeSet: false, limits: (text) => text !== neutral };
  // Of every controller, also those that ffrtmp does not know.
  return /\.(max|high)$/.test(file) ? { canBeSet: false, limits: isLimit } : undefined;
}

// default 100
// 8:0 50
function isLowWeight(text: string): boolean {
  return [...text.matchAll(/ (\d+)$/gm)].some(([, weight]) => Number(weight) < DEFAULT_WEIGHT);
}

// max
// 1073741824
// mlx4_0 hca_handle=2 hca_object=max
// 50.00   ← cpu.uclamp.max
function isLimit(text: string): boolean {
  return text.split(/\s+/).some((word) => /^(\w+=)?\d+(\.\d+)?$/.test(word));
}
