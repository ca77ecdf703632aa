import { readBootMs } from "../sys/clock.ts";
import { errnoOf } from "../sys/errno.ts";
import {
  closeFile,
  fileExists,
  O_RDONLY,
  openFile,
  openOrErrno,
  readInto,
  readTextFile,
  readTextOrErrno,
} from "../sys/files.ts";
import { type CgroupFs, realCgroupFs } from "./cgroupFs.ts";
import type { Bus } from "./systemdBus.ts";

const ENOENT = 2;
const ESRCH = 3;

/** Where the procfs of this pid namespace is mounted. */
export const PROC_ROOT = "/proc";

/** The parts of the machine that tests replace. It is passed down, never global. */
export interface Host {
  /** `PROC_ROOT`, or a recorded tree. */
  readonly procRoot: string;
  readonly cgroupFs: CgroupFs;
  /** The D-Bus interface of the systemd managers; absent where systemd does not run the machine. */
  readonly bus?: Bus;
  /** Wall clock, ms since the epoch. For display: it can be set at any time, so no duration is computed from it. */
  now(): number;
  /** CLOCK_BOOTTIME, ms since the start of this boot. Never set and never stopped. */
  bootNow(): number;
}

export function realHost(): Host {
  const bus = findBus();
  return {
    procRoot: PROC_ROOT,
    cgroupFs: realCgroupFs,
    now: Date.now,
    bootNow: readBootMs,
    ...(bus ? { bus } : {}),
  };
}

/** Returns the bus, or `undefined` where systemd does not run the machine: sd_booted(3). */
function findBus(): Bus | undefined {
  if (!fileExists("/run/systemd/system")) return undefined;
  // Required here, not imported: most starts of a workload need no answer of systemd.
  const systemd: typeof import("./systemdBus.ts") = require("./systemdBus.ts");
  return systemd.busOfSystemd();
}

/** Reads a file below procRoot. `"gone"` when its process does not exist. Throws EACCES, EPERM, EIO. */
export function readProcFile(host: Host, path: string): string | "gone" {
  const whole = `${host.procRoot}/${path}`;
  const text = readTextOrErrno(whole);
  if (typeof text === "string") return text;
  return isGoneErrno(text) ? "gone" : unlessGone(() => readTextFile(whole));
}

/**
 * Reads at most the first `maxBytes` of a file below procRoot, with one read(2), decoded as UTF-8. For files whose length
 * another user chooses. `isCut`: the file may be longer; then the text ends at the last whole character.
 * `"gone"` when its process does not exist. Throws EACCES, EPERM, EIO.
 */
export function readProcStart(
  host: Host,
  path: string,
  maxBytes: number,
): { text: string; isCut: boolean } | "gone" {
  return unlessGone(() => {
    const whole = `${host.procRoot}/${path}`;
    const opened = openOrErrno(whole, O_RDONLY);
    if (isGoneErrno(opened)) return "gone";
    const fd = opened < 0 ? openFile(whole, O_RDONLY) : opened;
    try {
      if (buffer.length <= maxBytes) buffer = new Uint8Array(maxBytes + 1);
      const bytes = buffer.subarray(0, maxBytes + 1);
      const length = readInto(fd, bytes, whole);
      if (length <= maxBytes) return { text: UTF8.decode(bytes.subarray(0, length)), isCut: false };
      return { text: UTF8.decode(bytes.subarray(0, wholeCharacters(bytes, maxBytes))), isCut: true };
    } finally {
      closeFile(fd);
    }
  });
}

/** Kept between reads: the daemon reads a command line for each program that starts on the machine. */
let buffer = new Uint8Array(0);

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Returns the largest length up to `length` at which UTF-8 text can be cut: not before a continuation byte (10xxxxxx). */
function wholeCharacters(bytes: Uint8Array, length: number): number {
  for (let end = length; end > length - 4 && end > 0; end--) {
    if (((bytes[end] ?? 0) & 0xc0) !== 0x80) return end;
  }
  // More continuation bytes than a character has: the text is no UTF-8, and any cut is as good.
  return length;
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

/** An error takes longer to make than a file to read, and most processes that are asked about are short-lived. */
export function isGoneErrno(result: number): boolean {
  return result === -ENOENT || result === -ESRCH;
}

/** Returns whether a process has ended: ENOENT at open, ESRCH at read, ENOTDIR for a reused path. */
export function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH", "ENOTDIR"].includes(errnoOf(error) ?? "");
}

/**
 * Returns whether a process may not be read, as where procfs hides those of other users (hidepid), or cannot: kernels refuse
 * with ENAMETOOLONG to show the path of a cgroup of more than 4096 bytes, which the owner of a subtree can make.
 */
export function isForbidden(error: unknown): boolean {
  return ["EACCES", "EPERM", "ENAMETOOLONG"].includes(errnoOf(error) ?? "");
}
