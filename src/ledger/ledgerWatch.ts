import { watch } from "node:fs";
import { basename, dirname } from "node:path";

export interface LedgerWatch {
  close(): void;
}

/** The runtime passes over an event that is like the one just before: what it told of is looked for after so long. */
const SECOND_LOOK_MS = 50;

/**
 * Calls back soon after anybody, this process included, has written to a ledger file. Returns `undefined` where the
 * kernel cannot tell (no inotify instance is left, the directory cannot be read); the ledger has to be looked at then.
 */
export function watchLedgerFile(path: string, onWrite: () => void): LedgerWatch | undefined {
  let secondLook: ReturnType<typeof setTimeout> | undefined;
  const tell = () => {
    onWrite();
    secondLook ??= setTimeout(() => {
      secondLook = undefined;
      onWrite();
    }, SECOND_LOOK_MS);
    secondLook.unref();
  };
  try {
    // The directory, because the file may be set aside and begun anew; what is written is the log beside it.
    const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === null || file.startsWith(basename(path))) tell();
    });
    watcher.on("error", () => watcher.close());
    return {
      close() {
        clearTimeout(secondLook);
        watcher.close();
      },
    };
  } catch {
    return undefined;
  }
}
