import { Refusal } from "../../jobs/errors.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { lockDirectory, shareDirectory, waitForLock } from "../../sys/fileLock.ts";

/**
 * Calls `use` while no `ffrtmp fleet grow` saves the streams of the hub: what is stored meanwhile would be missing on the new one. Throws a
 * Refusal while one does.
 */
export async function withoutGrowth<T>(directory: string, use: () => Promise<T>): Promise<T> {
  // What cannot be locked, such as a directory of another user, cannot grow either: the keys of the hub are in it.
  const lock = shareDirectory(directory);
  if (lock === "locked")
    throw new Refusal(
      "ffrtmp fleet grow is saving the streams of the hub, and what this command stores would be lost",
      "try again when it has ended",
    );
  try {
    return await use();
  } finally {
    if (typeof lock === "number") closeFd(lock);
  }
}

/** Calls `use` while no other command of the operator uses the hub, so that nothing is stored behind what is saved. Throws a Refusal. */
export async function duringGrowth<T>(directory: string, use: () => Promise<T>): Promise<T> {
  const lock = waitForLock(() => lockDirectory(directory));
  if (lock === "locked")
    throw new Refusal(
      "another ffrtmp fleet command uses the hub, and what it stores would be lost",
      "end it, such as one with --wait or --follow, and try again",
    );
  if (typeof lock === "object") throw new Refusal(`cannot lock the fleet: ${lock.reason}`);
  try {
    return await use();
  } finally {
    closeFd(lock);
  }
}
