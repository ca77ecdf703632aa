import { watch } from "node:fs";
import { basename, dirname } from "node:path";

export interface LedgerWatch {
  close(): void;
}

/**
 * Calls back soon after anybody, this process included, has written to a ledger file. Returns `undefined` where the
 * kernel cannot tell (no inotify instance is left, the directory cannot be read); the ledger has to be looked at then.
 */
export function watchLedgerFile(path: string, onWrite: () => void): LedgerWatch | undefined {
  try {
    // The directory, because the file may be set aside and begun anew; what is written is the log beside it.
    const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === null || file.startsWith(basename(path))) onWrite();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined;
  }
}
