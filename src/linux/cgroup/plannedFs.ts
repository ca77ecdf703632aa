import type { CgroupFs } from "../cgroupFs.ts";

/** Files of a new cgroup whose content follows from another file. */
const FOLLOWS: Record<string, string> = {
  "cpuset.effective_cpus": "cpuset.cpus",
  "cpuset.cpus.effective": "cpuset.cpus",
};

/**
 * Cgroup files as they will be after planned writes, which are recorded and not executed. A plan is made over it, so that
 * a later part of the plan reads what an earlier part will write. It does not know what the kernel would refuse.
 */
export class PlannedFs implements CgroupFs {
  readonly #real: CgroupFs;
  readonly #written = new Map<string, string>();

  constructor(real: CgroupFs) {
    this.#real = real;
  }

  read(path: string): string {
    const written = this.#written.get(path);
    if (written !== undefined) return written;
    const at = path.lastIndexOf("/") + 1;
    const source = FOLLOWS[path.slice(at)];
    const follows = source === undefined ? undefined : this.#written.get(path.slice(0, at) + source);
    return follows ?? this.#real.read(path);
  }

  write(path: string, data: string): void {
    this.#written.set(path, data);
  }

  mkdir(): void {}
  rmdir(): void {}

  exists(path: string): boolean {
    return this.#written.has(path) || this.#real.exists(path);
  }

  children(path: string): string[] {
    return this.#real.children(path);
  }

  watch(): undefined {}
}
