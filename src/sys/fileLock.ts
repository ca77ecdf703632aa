import { constants, openSync } from "node:fs";
import { closeFd } from "./descriptor.ts";
import { describeErrno, errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";
import { NotRegular, openRegular } from "./regularFile.ts";

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** While others make a change, which takes each some ms. */
const [WAIT_MS, POLL_MS] = [10_000, 20];

/** The descriptor of the lock, or why there is none: `"locked"` when another process has locked the file. */
type Lock = number | "locked" | { reason: string };

/**
 * Locks a file, created if missing, until this process ends: flock(2), exclusive, without waiting. Only its owner can open
 * it, because each process that can open a file can lock it.
 */
export function lockFile(path: string): Lock {
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY;
  return lock(path, () => openRegular(path, flags, 0o600));
}

/** Locks an existing directory in the same way. Its files stay unlocked. */
export function lockDirectory(path: string): Lock {
  return lock(path, () => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
}

/** The same with a lock that any number of processes can have, and none while another one has locked the directory alone. */
export function shareDirectory(path: string): Lock {
  return lock(path, () => openSync(path, constants.O_RDONLY | constants.O_DIRECTORY), LOCK_SH);
}

/** Waits for a lock for some seconds. */
export function waitForLock(take: () => Lock): Lock {
  const endMs = performance.now() + WAIT_MS;
  for (;;) {
    const taken = take();
    if (taken !== "locked" || performance.now() > endMs) return taken;
    Bun.sleepSync(POLL_MS);
  }
}

function lock(path: string, open: () => number, operation = LOCK_EX): Lock {
  let fd: number;
  try {
    fd = open();
  } catch (error) {
    if (error instanceof NotRegular) return { reason: error.message.replace(/^it/, path) };
    return { reason: `${describeErrno(error)} opening ${path}` };
  }
  const result = syscall("flock", fd, operation | LOCK_NB);
  if (result === 0) return fd;
  closeFd(fd);
  const name = errnoName(result);
  return name === "EAGAIN" ? "locked" : { reason: `flock of ${path}: ${name}` };
}
