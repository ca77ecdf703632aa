import { constants, openSync } from "node:fs";
import { closeFd } from "./descriptor.ts";
import { describeErrno, errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Locks a file exclusively without waiting (flock(2)), and creates it first if it is missing. The kernel
 * releases the lock when the process ends, however it ends. Returns the descriptor of the lock, or `"locked"`
 * when another process has locked the file.
 */
export function lockFile(path: string): number | "locked" | { reason: string } {
  return lock(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY);
}

/** Locks an existing directory in the same way. Its files stay unlocked. */
export function lockDirectory(path: string): number | "locked" | { reason: string } {
  return lock(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

function lock(path: string, flags: number): number | "locked" | { reason: string } {
  let fd: number;
  try {
    fd = openSync(path, flags, 0o644);
  } catch (error) {
    return { reason: `${describeErrno(error)} opening ${path}` };
  }
  const result = syscall("flock", fd, LOCK_EX | LOCK_NB);
  if (result === 0) return fd;
  closeFd(fd);
  const name = errnoName(result);
  return name === "EAGAIN" ? "locked" : { reason: `flock of ${path}: ${name}` };
}
