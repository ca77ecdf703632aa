import { constants, openSync } from "node:fs";
import { closeFd } from "./descriptor.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes an exclusive lock on a file, made when it is not there, without waiting (flock(2)). The kernel gives it back
 * when the process ends, however it ends. Returns the descriptor that holds it, `"locked"` when another process
 * has it, or what the file system says.
 */
export function lockFile(path: string): number | "locked" | { reason: string } {
  return lock(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY);
}

/** The same for a directory, which must be there; its files are not concerned. */
export function lockDirectory(path: string): number | "locked" | { reason: string } {
  return lock(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

function lock(path: string, flags: number): number | "locked" | { reason: string } {
  let fd: number;
  try {
    fd = openSync(path, flags, 0o644);
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
  const result = syscall("flock", fd, LOCK_EX | LOCK_NB);
  if (result === 0) return fd;
  closeFd(fd);
  const name = errnoName(result);
  return name === "EAGAIN" ? "locked" : { reason: `flock of ${path}: ${name}` };
}
