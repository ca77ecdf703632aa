import { basename, dirname } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";

/**
 * Calls back soon after anybody, this process included, has written to a ledger file. Returns `undefined` where the
 * kernel cannot tell (no inotify instance is left, the directory cannot be read); the ledger has to be looked at then.
 */
export function watchLedgerFile(path: string, onWrite: () => void): FileWatch | undefined {
  // The directory, because the file may be set aside and begun anew; what is written is the log beside it.
  return watchPath(dirname(path), onWrite, (name) => name.startsWith(basename(path)));
}
