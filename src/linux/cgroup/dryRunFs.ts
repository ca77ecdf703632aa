import type { CgroupFs } from "../cgroupFs.ts";

/** What a new cgroup's files show that follow from others which are written. */
const FOLLOWS: Record<string, string> = {
  "cpuset.effective_cpus": "cpuset.cpus",
  "cpuset.cpus.effective": "cpuset.cpus",
};

/**
 * Cgroup files as they would be after writes that are only noted: the code that applies limits can be run over it, and
 * what it decides not to write is what it would not write in earnest. What the kernel would refuse is not known.
 */
export class DryRunFs implements CgroupFs {
  /** In their order. */
  readonly writes: { path: string; data: string }[] = [];
  readonly #under: CgroupFs;
  readonly #written = new Map<string, string>();

  constructor(under: CgroupFs) {
    this.#under = under;
  }

  read(path: string): string {
    const written = this.#written.get(path);
    if (written !== undefined) return written;
    const at = path.lastIndexOf("/") + 1;
    const source = FOLLOWS[path.slice(at)];
    const follows = source === undefined ? undefined : this.#written.get(path.slice(0, at) + source);
    return follows ?? this.#under.read(path);
  }

  write(path: string, data: string): void {
    this.writes.push({ path, data });
    this.#written.set(path, data);
  }

  mkdir(): void {}
  rmdir(): void {}

  exists(path: string): boolean {
    return this.#written.has(path) || this.#under.exists(path);
  }

  children(path: string): string[] {
    return this.#under.children(path);
  }

  watch(): undefined {}
}
