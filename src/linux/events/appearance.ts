import { closeSync, openSync, readlinkSync, readSync } from "node:fs";
import { type Host, isForbidden, isGone, readProcFile } from "../host.ts";

const ARGUMENT_BYTES = 4096;
const argumentBytes = Buffer.alloc(ARGUMENT_BYTES);

/** What a process shows of itself, to be compared. The program is its executable and the beginning of its arguments. */
export interface Appearance {
  program: string;
  comm: string;
}

/** Source: /proc/PID/exe, cmdline and comm. `"gone"` when the process is, or is not ours to see. */
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

/** Empty for kernel threads, zombies, and processes that are not ours to inspect. */
function readExe(host: Host, pid: number): string {
  try {
    return readlinkSync(`${host.procRoot}/${pid}/exe`);
  } catch {
    return "";
  }
}

/** Only the beginning: a process may have megabytes of arguments. */
function readArgumentsStart(host: Host, pid: number): string {
  const fd = openSync(`${host.procRoot}/${pid}/cmdline`, "r");
  try {
    return argumentBytes.toString("latin1", 0, readSync(fd, argumentBytes));
  } finally {
    closeSync(fd);
  }
}
