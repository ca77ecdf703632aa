import { readFileSync } from "node:fs";
import { errnoOf } from "../sys/errno.ts";
import { type CgroupFs, realCgroupFs } from "./cgroupFs.ts";
import { type Bus, findBus } from "./systemdBus.ts";

/** Everything of the machine that a test may want to replace; passed down, never global. */
export interface Host {
  /** Where procfs is mounted: `/proc`, or a recorded tree. */
  readonly procRoot: string;
  readonly cgroupFs: CgroupFs;
  /** The managers of systemd; absent where systemd does not run the machine. */
  readonly bus?: Bus;
  /** Wall clock, ms since the epoch. */
  now(): number;
}

export function realHost(): Host {
  const bus = findBus();
  return { procRoot: "/proc", cgroupFs: realCgroupFs, now: Date.now, ...(bus ? { bus } : {}) };
}

/**
 * The text of a file below procRoot, or `"gone"` when the process that it speaks of is not there (any more).
 * Files under /proc announce a size of 0: they are read to the end, whatever stat says.
 * Other errors (EACCES, EPERM, EIO) are thrown.
 */
export function readProcFile(host: Host, path: string): string | "gone" {
  try {
    return readFileSync(`${host.procRoot}/${path}`, "utf8");
  } catch (error) {
    if (isGone(error)) return "gone";
    throw error;
  }
}

/** ESRCH appears when a process ends between open and read; ENOENT when it ended before; ENOTDIR for a recycled path. */
export function isGone(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "ENOENT" || code === "ESRCH" || code === "ENOTDIR";
}

/** Where procfs hides the processes of others (hidepid) it lists them or not, and lets nothing be read. */
export function isForbidden(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "EACCES" || code === "EPERM";
}
