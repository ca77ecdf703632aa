import { constants, openSync } from "node:fs";
import { closeFd } from "./descriptor.ts";
import { describeErrno, errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** The descriptor of the lock, or why there is none: `"locked"` when another process has locked the file. */
type Lock = number | "locked" | { reason: string };

/** Locks a file, created if missing, until this process ends: flock(2), exclusive, without waiting. */
export function lockFile(path: string): Lock {
  return lock(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY);
}

/** Locks an existing directory in the same way. Its files stay unlocked. */
export function lockDirectory(path: string): Lock {
  return lock(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

function lock(path: string, flags: number): Lock {
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
