import { basename, dirname } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";

/**
 * Calls back soon after any process, this one included, has written to a ledger file. Returns `undefined` where the
 * kernel cannot report it (no inotify instance is left, the directory cannot be read); then the ledger must be polled.
 */
export function watchLedgerFile(path: string, onWrite: () => void): FileWatch | undefined {
  // Watches the directory: writes go to the log beside the file, and a damaged file is replaced by a new one.
  return watchPath(dirname(path), onWrite, (name) => name.startsWith(basename(path)));
}
