import { accessSync, constants, statSync } from "node:fs";
import { rejectStrangers, UntrustedState } from "../../ledger/strangers.ts";
import { errnoOf } from "../../sys/errno.ts";

/**
 * Returns why a file must not decide what ffrtmp executes, or `undefined`: another user can change it. For root, also the
 * directories on its path count.
 */
export function whyUntrusted(path: string): string | undefined {
  try {
    rejectStrangers(path);
    const { uid, mode } = statSync(path);
    if (uid !== 0 && uid !== process.geteuid?.()) return `${path} belongs to uid ${uid}`;
    return (mode & 0o022) === 0
      ? undefined
      : `${path} can be changed by other users (mode ${(mode & 0o7777).toString(8)})`;
  } catch (error) {
    if (error instanceof UntrustedState) return error.message;
    return `${path} cannot be checked (${errnoOf(error)})`;
  }
}

/** Returns why a file cannot be executed as the command of `on_end`, or `undefined`. */
export function faultInHookFile(path: string): string | undefined {
  try {
    if (!statSync(path).isFile()) return "is not a regular file";
    accessSync(path, constants.X_OK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return "does not exist";
    return errno === "EACCES" ? "is not executable" : `cannot be checked (${errno})`;
  }
  return undefined;
}
