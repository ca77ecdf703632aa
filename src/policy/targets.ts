import { basename } from "node:path";

/** What of a process a name can be compared with. */
export interface ProcessNames {
  /** The first argument as the process shows it; it may be changed by the process. Empty when it shows none. */
  argv0: string;
  /** Path of the executable; `undefined` where it may not be read. */
  executable: string | undefined;
  /** At most 15 characters. */
  comm: string;
}

/** What `watch` looks for when nobody says. */
export const USUAL_TARGETS: readonly string[] = ["ffmpeg", "gst-launch-1.0"];

/** The kernel cuts names to this many characters (TASK_COMM_LEN − 1). */
const COMM_LENGTH = 15;

/** The first target that a process goes by: by its executable, by how it was called, or by its name. */
export function matchTarget(targets: readonly string[], names: ProcessNames): string | undefined {
  const candidates = [basename(names.executable ?? ""), basename(names.argv0)].filter((name) => name !== "");
  return targets.find((target) => candidates.includes(target) || names.comm === target.slice(0, COMM_LENGTH));
}
