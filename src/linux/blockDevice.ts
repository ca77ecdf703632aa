import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Returns the whole disk of `8:1`, of a device file, or of any path on a disk, from /sys/dev/block, as
 * `major:minor`, or why there is none. Throttling works on whole disks: a partition is replaced by its disk.
 */
export function findWholeDisk(target: string): { device: string } | { reason: string } {
  const numbers = /^\d+:\d+$/.test(target) ? target : deviceOfPath(target);
  if (typeof numbers !== "string") return numbers;
  const entry = `/sys/dev/block/${numbers}`;
  if (!existsSync(entry))
    return { reason: `there is no block device ${numbers}${numbers === target ? "" : ` (${target})`}` };
  const directory = realpathSync(entry);
  if (!existsSync(`${directory}/partition`)) return { device: numbers };
  return { device: readFileSync(`${dirname(directory)}/dev`, "utf8").trim() };
}

const MAX_LISTED_DISKS = 8;

/** Lists the disks of this machine as `254:0 (vda)`, without those in memory. */
export function listDisks(): string[] {
  try {
    const names = readdirSync("/sys/block").filter((name) => !/^(?:loop|ram|zram)\d/.test(name));
    const shown = names.slice(0, MAX_LISTED_DISKS).map((name) => {
      const numbers = readFileSync(`/sys/block/${name}/dev`, "utf8").trim();
      return `${numbers} (${name})`;
    });
    return names.length > shown.length ? [...shown, "…"] : shown;
  } catch {
    // Containers can hide /sys.
    return [];
  }
}

function deviceOfPath(path: string): string | { reason: string } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return { reason: `${path} does not exist` };
  const numbers = splitDevice(stat.isBlockDevice() ? stat.rdev : stat.dev);
  if (numbers.startsWith("0:"))
    return { reason: `${path} is on a file system without its own disk (device ${numbers})` };
  return numbers;
}

/** Splits a packed device number: makedev(3). */
function splitDevice(packed: number): string {
  const value = BigInt(packed);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & ~0xfffn);
  const minor = (value & 0xffn) | ((value >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffff_ffffn}`;
}
