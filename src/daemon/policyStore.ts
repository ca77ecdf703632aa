import { lstatSync, readlinkSync, realpathSync, statSync, watch } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import type { Policy } from "../policy/policy.ts";

/** What reading the policy file came to; each fault, and each likely slip, is one line for a person. */
export type PolicyReading = { policy: Policy; warnings: string[] } | { faults: string[] };

/** Editors write a file in several steps. */
const DEBOUNCE_MS = 100;
/** As the kernel's own limit on links that lead to links: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The policy in force. Where it comes from a file, that is watched: a valid change of it takes its place, an invalid one
 * leaves it in force.
 */
export class PolicyStore {
  readonly #path: string | undefined;
  readonly #load: () => PolicyReading;
  #policy: Policy;
  #loadedMs: number;
  #faults: string[] = [];
  #warnings: string[];
  /** Of the file as it was read last, valid or not. */
  #stamp: string;
  #watchers: { close(): void }[] = [];
  #settling: ReturnType<typeof setTimeout> | undefined;

  /** `path` is `undefined` for a policy that comes from no file. */
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

  /** What is wrong with the file as it is now; empty while that is the policy in force. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** What in the policy in force is most likely a slip. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Calls back when the file has changed since it was read, through whatever links. `check` finds what inotify misses. */
  watch(onChange: () => void): void {
    this.#unwatch();
    if (this.#path === undefined) return;
    for (const directory of directoriesOnTheWay(this.#path)) {
      try {
        const watcher = watch(directory, { persistent: false }, () => this.#settle(onChange));
        watcher.on("error", () => watcher.close());
        this.#watchers.push(watcher);
      } catch {
        // It is gone, or no inotify instance is left: the next check looks.
      }
    }
  }

  /** Whether the file is another one than what was read last. */
  hasChanged(): boolean {
    return this.#path !== undefined && this.#readStamp() !== this.#stamp;
  }

  /** Reads the file anew. Returns the policy that was in force before, or `undefined` when it still is. */
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
    clearTimeout(this.#settling);
    this.#unwatch();
  }

  #settle(onChange: () => void): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      // A link that was swapped leads through other directories.
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

/** Every directory in which a change can make a path lead to another file: its own, and those of the links on the way. */
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
