import type { CgroupFs } from "../cgroupFs.ts";

/** Files of a new cgroup whose content follows from another file. */
const DERIVED_FILES: Record<string, string> = {
  "cpuset.effective_cpus": "cpuset.cpus",
  "cpuset.cpus.effective": "cpuset.cpus",
};

/**
 * Cgroup files as they would be after writes that are only recorded. The code that applies limits runs over
 * it unchanged, so it decides what to write as in a real run. Refusals of the kernel are not simulated.
 */
export class DryRunFs implements CgroupFs {
  /** The recorded writes, in order. */
  readonly writes: { path: string; data: string }[] = [];
  readonly #base: CgroupFs;
  readonly #written = new Map<string, string>();

  constructor(base: CgroupFs) {
    this.#base = base;
  }

  read(path: string): string {
    const written = this.#written.get(path);
    if (written !== undefined) return written;
    const at = path.lastIndexOf("/") + 1;
    const source = DERIVED_FILES[path.slice(at)];
    const derived = source === undefined ? undefined : this.#written.get(path.slice(0, at) + source);
    return derived ?? this.#base.read(path);
  }

  write(path: string, data: string): void {
    this.writes.push({ path, data });
    this.#written.set(path, data);
  }

  mkdir(): void {}
  rmdir(): void {}

  exists(path: string): boolean {
    return this.#written.has(path) || this.#base.exists(path);
  }

  children(path: string): string[] {
    return this.#base.children(path);
  }

  watch(): undefined {}
}
