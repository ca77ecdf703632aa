import { readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve, sep } from "node:path";
import { type FileWatch, watchPath } from "../linux/fileWatch.ts";
import type { Policy } from "../policy/policy.ts";

/**
 * The outcome of reading the policy. Each fault and each warning is one line of text. `path`: of the policy that was read, where
 * it is not that of the store. `fleet` is absent on a machine that follows no fleet.
 */
export type PolicyReading = (
  | { policy: Policy; warnings: string[]; path?: string | undefined }
  | { faults: string[] }
) & {
  fleet?: FleetPolicyReport | undefined;
  /** Changes with the further files that were read. */
  fingerprint?: string;
};

/** The policy of the fleet on this machine. */
export interface FleetPolicyReport {
  /** The ring of the machine, and that of the policy in force; `null`: no policy of the fleet is. */
  ring: string;
  in_force_ring: string | null;
  /** The serial of the policy in force; `null`: the machine's own policy is in force. */
  serial: number | null;
  /** The highest that was accepted in the ring; 0: none. */
  highest: number;
  /** The digest of the document that the hub has sent last, which `state` is about; `null`: none that can be read. */
  sent: string | null;
  /**
   * About the last one that the hub has sent. `none`: it has sent none. `refused`, `unsupported`: the one before stays.
   * `ignored`: the machine keeps its own. `unselected`: it is for a share of the ring, without this machine.
   */
  state: "none" | "applied" | "refused" | "unsupported" | "ignored" | "unselected";
  /** `null` for `applied` and `none`. */
  why: string | null;
}

/** Files beside the policy file that can change the policy. Others than root may write them, at any rate. */
export interface FurtherFiles {
  readonly files: readonly string[];
  /** Identifies the policy that a reading now would give, without its cost. */
  fingerprint(): string;
}

/** An editor writes a file in several steps. */
const DEBOUNCE_MS = 100;
/** The kernel's own limit on chained symbolic links: path_resolution(7). */
const MAX_LINKS = 40;

/** The policy in force, and the file that it comes from. A file with errors does not replace the policy. */
export class PolicyStore {
  /** The file of the policy in force; `undefined` for a policy without one. */
  path: string | undefined;
  policy: Policy;
  /** Likely mistakes in the policy in force. */
  warnings: readonly string[];
  /** When the policy in force was read, ms since the epoch. */
  loadedMs = Date.now();
  /** The faults of the file as it is now; empty while the file is the policy in force. */
  faults: readonly string[] = [];
  /** `undefined`: this machine follows no fleet. */
  fleet: FleetPolicyReport | undefined;
  /** The file of the operator of this machine. */
  readonly #file: string | undefined;
  readonly #load: () => PolicyReading;
  readonly #further: FurtherFiles | undefined;
  /** Identifies the content of the file as it was read last, valid or not. */
  #stamp: string;
  /** The same of the further files, and of what they amount to. */
  #furtherStamp: string;
  #fingerprint: string | undefined;
  #watches: (FileWatch | undefined)[] = [];
  #debounceTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    policy: Policy,
    path: string | undefined,
    load: () => PolicyReading,
    warnings: string[] = [],
    further?: FurtherFiles,
  ) {
    this.policy = policy;
    this.warnings = warnings;
    this.#file = path === undefined ? undefined : resolve(path);
    this.path = this.#file;
    this.#load = load;
    this.#further = further;
    this.#stamp = this.#readStamp();
    this.#furtherStamp = this.#readFurtherStamp();
  }

  /** Reads the policy for the first time. Returns the faults of one that cannot be used. */
  static open(
    path: string | undefined,
    load: () => PolicyReading,
    further?: FurtherFiles,
  ): PolicyStore | { faults: string[] } {
    // Before the reading: a file that changes during it is read again.
    const [stamp, furtherStamp] = [path === undefined ? "" : stampOf(resolve(path)), stampsOf(further)];
    const first = load();
    if ("faults" in first) return first;
    const store = new PolicyStore(first.policy, path, load, first.warnings, further);
    store.#stamp = stamp;
    store.#furtherStamp = furtherStamp;
    store.#fingerprint = first.fingerprint;
    store.path = first.path ?? store.path;
    store.fleet = first.fleet;
    return store;
  }

  /** Calls back when the file or a link on its path changes. inotify can miss a change: poll `hasChanged`. */
  watch(onChange: () => void): void {
    this.#unwatch();
    const files = [...(this.#file === undefined ? [] : [this.#file]), ...(this.#further?.files ?? [])];
    const debounced = () => {
      clearTimeout(this.#debounceTimer);
      this.#debounceTimer = setTimeout(() => {
        // A link that was replaced may lead through other directories.
        this.watch(onChange);
        if (this.hasChanged()) onChange();
      }, DEBOUNCE_MS);
    };
    // A directory without a watch is gone, or no inotify instance is left: `hasChanged` finds the change.
    const directories = new Set(files.flatMap((file) => [...directoriesOnTheWay(file)]));
    this.#watches = [...directories].map((directory) => watchPath(directory, debounced));
  }

  hasChanged(): boolean {
    if (this.#readStamp() !== this.#stamp) return true;
    const stamp = this.#readFurtherStamp();
    if (stamp === this.#furtherStamp) return false;
    // A user who may write such a file must not make the daemon decide about all processes again and again.
    if (this.#further?.fingerprint() !== this.#fingerprint) return true;
    this.#furtherStamp = stamp;
    return false;
  }

  /** Reads the file again. Returns the policy that was replaced, or `undefined` if the file has errors. */
  reload(): Policy | undefined {
    this.#stamp = this.#readStamp();
    this.#furtherStamp = this.#readFurtherStamp();
    const loaded = this.#load();
    this.#fingerprint = loaded.fingerprint;
    this.faults = "faults" in loaded ? loaded.faults : [];
    this.fleet = loaded.fleet ?? this.fleet;
    if ("faults" in loaded) return undefined;
    const before = this.policy;
    this.policy = loaded.policy;
    this.path = loaded.path ?? this.#file;
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
    return this.#file === undefined ? "" : stampOf(this.#file);
  }

  #readFurtherStamp(): string {
    return stampsOf(this.#further);
  }
}

function stampsOf(further: FurtherFiles | undefined): string {
  return (further?.files ?? []).map(stampOf).join("\n");
}

function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [realpathSync(path), dev, ino, size, mtimeNs, ctimeNs].join(" ");
  } catch (error) {
    return String(error);
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
