import { describeErrno } from "../sys/errno.ts";
import { lockFile } from "../sys/fileLock.ts";
import { rejectStrangers } from "./strangers.ts";

/** Locks a file of a state directory as `lockFile` does. Root creates none where another user can have put a link. */
export function lockStateFile(path: string): ReturnType<typeof lockFile> {
  try {
    rejectStrangers(path);
  } catch (error) {
    return { reason: describeErrno(error) };
  }
  return lockFile(path);
}
