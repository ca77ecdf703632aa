export interface FileWatch {
  close(): void;
}

/** The runtime skips an event that equals the previous one, so a second call follows every event. */
const SECOND_CALL_DELAY_MS = 50;

/**
 * Calls `onWrite` soon after each write to a file, or to a file of a directory whose name `matches`, and
 * possibly more often: inotify(7). `undefined` when the path does not exist or inotify instances are used up.
 */
export function watchPath(
  path: string,
  onWrite: () => void,
  matches: (name: string) => boolean = () => true,
): FileWatch | undefined {
  let secondCall: ReturnType<typeof setTimeout> | undefined;
  const notify = () => {
    onWrite();
    secondCall ??= setTimeout(() => {
      secondCall = undefined;
      onWrite();
    }, SECOND_CALL_DELAY_MS);
    secondCall.unref();
  };
  // Required here, not imported, to keep node:fs out of a start that watches nothing.
  const { watch } = require("node:fs") as typeof import("node:fs");
  try {
    const watcher = watch(path, { persistent: false }, (_event, name) => {
      if (name === null || matches(name)) notify();
    });
    watcher.on("error", () => watcher.close());
    return {
      close() {
        clearTimeout(secondCall);
        watcher.close();
      },
    };
  } catch {
    return undefined;
  }
}
