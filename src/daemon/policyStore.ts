import { lstatSync, readlinkSync, realpathSync, statSync, watch } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import type { Policy } from "../policy/policy.ts";

/** The outcome of reading the policy file. Each fault and each warning is one line of text. */
export type PolicyReading = { policy: Policy; warnings: string[] } | { faults: string[] };

/** An editor writes a file in several steps. */
const DEBOUNCE_MS = 100;
/** The kernel's own limit on chained symbolic links: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The policy in force. `watch` reports changes of its file, and `reload` reads the file again: a valid policy replaces
 * the one in force, and one with errors does not.
 */
export class PolicyStore {
  readonly #path: string | undefined;
  readonly #load: () => PolicyReading;
  #policy: Policy;
  #loadedMs: number;
  #faults: string[] = [];
  #warnings: string[];
  /** Identifies the content of the file as it was read last, valid or not. */
  #stamp: string;
  #watchers: { close(): void }[] = [];
  #debounceTimer: ReturnType<typeof setTimeout> | undefined;

  /** `path` is `undefined` for a policy without a file. */
  constructor(policy: Policy, path: string | undefined, load: () => PolicyReading, warnings: string[] = []) {
    this.#policy = policy;
    this.#warnings = warnings;
    this.#path = path === undefined ? undefined : resolve(path);
    this.#load = load;
    this.#loadedMs = Date.now();
    this.#stamp = this.#readStamp();
  }

  get policy(): Policy {
    return this.#policy;
  }

  get path(): string | undefined {
    return this.#path;
  }

  /** When the policy in force was read, ms since the epoch. */
  get loadedMs(): number {
    return this.#loadedMs;
  }

  /** The faults of the file as it is now; empty while the file is the policy in force. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** Likely mistakes in the policy in force. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /**
   * Calls back when the file has changed since it was read, wherever the symbolic links on its path lead. Poll `hasChanged`
   * too, for the changes that inotify misses.
   */
  watch(onChange: () => void): void {
    this.#unwatch();
    if (this.#path === undefined) return;
    for (const directory of directoriesOnTheWay(this.#path)) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#debounce(onChange));
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // The directory is gone, or no inotify instance is left. `hasChanged` finds the change later.
      }
    }
  }

  /** Reports whether the file differs from the one that was read last. */
  hasChanged(): boolean {
    return this.#path !== undefined && this.#readStamp() !== this.#stamp;
  }

  /** Reads the file again. Returns the policy that was replaced, or `undefined` if the file has errors. */
  reload(): Policy | undefined {
    this.#stamp = this.#readStamp();
    const loaded = this.#load();
    if ("faults" in loaded) {
      this.#faults = loaded.faults;
      return undefined;
    }
    const before = this.#policy;
    this.#faults = [];
    this.#policy = loaded.policy;
    this.#warnings = loaded.warnings;
    this.#loadedMs = Date.now();
    return before;
  }

  stop(): void {
    clearTimeout(this.#debounceTimer);
    this.#unwatch();
  }

  #debounce(onChange: () => void): void {
    clearTimeout(this.#debounceTimer);
    this.#debounceTimer = setTimeout(() => {
      // A link that was replaced may lead through other directories.
      this.watch(onChange);
      if (this.hasChanged()) onChange();
    }, DEBOUNCE_MS);
  }

  #unwatch(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #readStamp(): string {
    if (this.#path === undefined) return "";
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.#path, { bigint: true });
      return [realpathSync(this.#path), dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch (error) {
      return String(error);
    }
  }
}

/** Lists every directory in which a change can make `path` lead to another file: its own, and those of the links on it. */
export function directoriesOnTheWay(path: string): Set<string> {
  const directories = new Set([dirname(path)]);
  let links = 0;
  const follow = (whole: string): void => {
    const parts = whole.split(sep).filter(Boolean);
    for (let end = 1; end <= parts.length; end++) {
      const prefix = sep + parts.slice(0, end).join(sep);
      const target = linkOf(prefix);
      if (target === undefined) continue;
      directories.add(dirname(prefix));
      if (++links > MAX_LINKS) return;
      const next = join(resolve(dirname(prefix), target), ...parts.slice(end));
      directories.add(dirname(next));
      follow(next);
      return;
    }
  };
  follow(path);
  return directories;
}

function linkOf(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined;
  }
}
