import { watch } from "node:fs";

export interface FileWatch {
  close(): void;
}

/** The runtime passes over an event that is like the one just before: what it told of is looked for after so long. */
const SECOND_LOOK_MS = 50;

/**
 * Calls back soon after a file was written to, or a file in a directory whose name `concerns`: inotify(7). It may call
 * back more often than something was written. Returns `undefined` where the kernel cannot tell: no inotify instance is
 * left, or there is no such path.
 */
export function watchPath(
  path: string,
  onWrite: () => void,
  concerns: (name: string) => boolean = () => true,
): FileWatch | undefined {
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
    const watcher = watch(path, { persistent: false }, (_event, name) => {
      if (name === null || concerns(name)) tell();
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
