import { readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";
import type { Policy } from "../policy/policy.ts";

/** The outcome of reading the policy file. Each fault and each warning is one line of text. */
export type PolicyReading = { policy: Policy; warnings: string[] } | { faults: string[] };

/** An editor writes a file in several steps. */
const DEBOUNCE_MS = 100;
/** The kernel's own limit on chained symbolic links: path_resolution(7). */
const MAX_LINKS = 40;

/** The policy in force, and the file that it comes from. A file with errors does not replace the policy. */
export class PolicyStore {
  /** `undefined` for a policy without a file. */
  readonly path: string | undefined;
  policy: Policy;
  /** Likely mistakes in the policy in force. */
  warnings: readonly string[];
  /** When the policy in force was read, ms since the epoch. */
  loadedMs = Date.now();
  /** The faults of the file as it is now; empty while the file is the policy in force. */
  faults: readonly string[] = [];
  readonly #load: () => PolicyReading;
  /** Identifies the content of the file as it was read last, valid or not. */
  #stamp: string;
  #watches: (FileWatch | undefined)[] = [];
  #debounceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(policy: Policy, path: string | undefined, load: () => PolicyReading, warnings: string[] = []) {
    this.policy = policy;
    this.warnings = warnings;
    this.path = path === undefined ? undefined : resolve(path);
    this.#load = load;
    this.#stamp = this.#readStamp();
  }

  /** Calls back when the file or a link on its path changes. inotify can miss a change: poll `hasChanged`. */
  watch(onChange: () => void): void {
    this.#unwatch();
    if (this.path === undefined) return;
    const debounced = () => {
      clearTimeout(this.#debounceTimer);
      this.#debounceTimer = setTimeout(() => {
        // A link that was replaced may lead through other directories.
        this.watch(onChange);
        if (this.hasChanged()) onChange();
      }, DEBOUNCE_MS);
    };
    // A directory without a watch is gone, or no inotify instance is left: `hasChanged` finds the change.
    this.#watches = [...directoriesOnTheWay(this.path)].map((directory) => watchPath(directory, debounced));
  }

  hasChanged(): boolean {
    return this.#readStamp() !== this.#stamp;
  }

  /** Reads the file again. Returns the policy that was replaced, or `undefined` if the file has errors. */
  reload(): Policy | undefined {
    this.#stamp = this.#readStamp();
    const loaded = this.#load();
    this.faults = "faults" in loaded ? loaded.faults : [];
    if ("faults" in loaded) return undefined;
    const before = this.policy;
    this.policy = loaded.policy;
    this.warnings = loaded.warnings;
    this.loadedMs = Date.now();
    return before;
  }

  stop(): void {
    clearTimeout(this.#debounceTimer);
    this.#unwatch();
  }

  #unwatch(): void {
    for (const watch of this.#watches) watch?.close();
    this.#watches = [];
  }

  #readStamp(): string {
    if (this.path === undefined) return "";
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.path, { bigint: true });
      return [realpathSync(this.path), dev, ino, size, mtimeNs, ctimeNs].join(" ");
    } catch (error) {
      return String(error);
    }
  }
}

/** Lists the directories where a change can lead `path` to another file: its own, and those of its links. */
export function directoriesOnTheWay(path: string): Set<string> {
  const directories = new Set([dirname(path)]);
  let next = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const found = firstLinkOn(next);
    if (found === undefined) break;
    const { link, target } = found;
    next = join(resolve(dirname(link), target), next.slice(link.length));
    directories.add(dirname(link)).add(dirname(next));
  }
  return directories;
}

function firstLinkOn(path: string): { link: string; target: string } | undefined {
  const parts = path.split(sep);
  for (let end = 2; end <= parts.length; end++) {
    const link = parts.slice(0, end).join(sep);
    try {
      return { link, target: readlinkSync(link) };
    } catch {
      // Not a link (EINVAL), or the rest of the path does not exist.
    }
  }
  return undefined;
}
