import { closeSync, openSync, readlinkSync, readSync } from "node:fs";
import { type Host, isForbidden, isGone, readProcFile } from "../host.ts";

const ARGUMENT_BYTES = 4096;
const argumentBytes = Buffer.alloc(ARGUMENT_BYTES);

/**
 * The name and program of a process, for comparison. `program` is its executable and the start of its
 * arguments.
 */
export interface Appearance {
  program: string;
  comm: string;
}

/**
 * Reads the appearance of a process. `"gone"` when the process has ended or may not be read.
 * Source: /proc/PID/exe, cmdline and comm.
 */
export function readAppearance(host: Host, pid: number): Appearance | "gone" {
  try {
    const comm = readProcFile(host, `${pid}/comm`);
    if (comm === "gone") return "gone";
    return { program: `${readExe(host, pid)}\0${readArgumentsStart(host, pid)}`, comm };
  } catch (error) {
    if (isGone(error) || isForbidden(error)) return "gone";
    throw error;
  }
}

/** Returns "" for kernel threads, zombies and processes that may not be inspected. */
function readExe(host: Host, pid: number): string {
  try {
    return readlinkSync(`${host.procRoot}/${pid}/exe`);
  } catch {
    return "";
  }
}

/** Reads only the first 4 KiB: a process may have megabytes of arguments. */
function readArgumentsStart(host: Host, pid: number): string {
  const fd = openSync(`${host.procRoot}/${pid}/cmdline`, "r");
  try {
    return argumentBytes.toString("latin1", 0, readSync(fd, argumentBytes));
  } finally {
    closeSync(fd);
  }
}
