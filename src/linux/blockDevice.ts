import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** A block device as the io controllers name it, or why there is none. */
export type BlockDevice = { device: string } | { reason: string };

/**
 * The whole disk behind `8:0`, a device file, or any path that lies on one.
 * Throttling works on whole disks: a partition's number is replaced by its disk's. Source: /sys/dev/block.
 */
export function findWholeDisk(target: string): BlockDevice {
  const numbers = /^\d+:\d+$/.test(target) ? target : deviceOfPath(target);
  if (typeof numbers !== "string") return numbers;
  const entry = `/sys/dev/block/${numbers}`;
  if (!existsSync(entry))
    return { reason: `there is no block device ${numbers}${numbers === target ? "" : ` (${target})`}` };
  const directory = realpathSync(entry);
  if (!existsSync(`${directory}/partition`)) return { device: numbers };
  return { device: readFileSync(`${dirname(directory)}/dev`, "utf8").trim() };
}

function deviceOfPath(path: string): string | { reason: string } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return { reason: `${path} does not exist` };
  const numbers = splitDevice(stat.isBlockDevice() ? stat.rdev : stat.dev);
  if (numbers.startsWith("0:"))
    return { reason: `${path} is on a file system without a disk of its own (device ${numbers})` };
  return numbers;
}

/** How Linux packs a device number: makedev(3). */
function splitDevice(packed: number): string {
  const value = BigInt(packed);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & ~0xfffn);
  const minor = (value & 0xffn) | ((value >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffff_ffffn}`;
}
