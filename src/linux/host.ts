import { readFileSync } from "node:fs";
import { errnoOf } from "../sys/errno.ts";
import { type CgroupFs, realCgroupFs } from "./cgroupFs.ts";
import { type Bus, findBus } from "./systemdBus.ts";

/** The parts of the machine that tests replace. It is passed down, never global. */
export interface Host {
  /** Where procfs is mounted: `/proc`, or a recorded tree. */
  readonly procRoot: string;
  readonly cgroupFs: CgroupFs;
  /** The D-Bus interface of the systemd managers; absent where systemd does not run the machine. */
  readonly bus?: Bus;
  /** Wall clock, ms since the epoch. */
  now(): number;
}

export function realHost(): Host {
  const bus = findBus();
  return { procRoot: "/proc", cgroupFs: realCgroupFs, now: Date.now, ...(bus ? { bus } : {}) };
}

/** Reads a file below procRoot. `"gone"` when its process does not exist. Throws EACCES, EPERM, EIO. */
export function readProcFile(host: Host, path: string): string | "gone" {
  return unlessGone(() => readFileSync(`${host.procRoot}/${path}`, "utf8"));
}

/** Returns `"gone"` in place of an error that means an ended process. */
export function unlessGone<Value>(act: () => Value): Value | "gone" {
  try {
    return act();
  } catch (error) {
    if (isGone(error)) return "gone";
    throw error;
  }
}

/** Returns whether a process has ended: ENOENT at open, ESRCH at read, ENOTDIR for a reused path. */
export function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH", "ENOTDIR"].includes(errnoOf(error) ?? "");
}

/** Returns whether a process may not be read, as where procfs hides those of other users (hidepid). */
export function isForbidden(error: unknown): boolean {
  return ["EACCES", "EPERM"].includes(errnoOf(error) ?? "");
}
