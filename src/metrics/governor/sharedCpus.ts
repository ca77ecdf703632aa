import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { readCpus } from "../machine.ts";
import { type BatchPlace, findCpusOf, findQuotasAround, type QuotaAround } from "./cpusAround.ts";
import type { SharedCores } from "./model.ts";
import { UseWindow } from "./useWindow.ts";

/** A batch job at the time of a reading. */
export interface BatchUse extends BatchPlace {
  readonly key: string;
  /** Its CPU time. */
  readonly usec: number;
  /** Its weight does not count against all live jobs, so that it can get a quota. */
  readonly hasClosedGate: boolean;
}

interface Around {
  readonly quota: QuotaAround;
  readonly window: UseWindow;
}

/** USER_HZ is 100 on all supported architectures. */
const USEC_PER_TICK = 10_000;
/** Between two readings of the cpusets and quotas around jobs. */
const RENEW_MS = 5000;

/**
 * Measures the CPUs that batch and others use together: those that the cpusets of the batch jobs leave, and the quotas of the
 * cgroups around all batch jobs with a closed gate. What runs on other CPUs or outside of such a cgroup takes nothing from
 * them. Without a cpuset and a quota, these are the CPUs of the machine.
 */
export class SharedCpus {
  readonly #host: Host;
  readonly #hierarchies: readonly Hierarchy[];
  #cpus: readonly number[] | undefined;
  #count = 1;
  #window = new UseWindow();
  readonly #around = new Map<string, Around>();
  #found: { readonly keys: string; readonly atMs: number } | undefined;

  constructor(host: Host, hierarchies: readonly Hierarchy[]) {
    this.#host = host;
    this.#hierarchies = hierarchies;
  }

  /** Takes a sample. `null`: the CPU time of a job is not known, and would count as that of the others. */
  read(batch: readonly BatchUse[] | null): void {
    if (batch !== null) this.#find(batch);
    const { cpuCount, cpuTicks } = readCpus(this.#host, this.#cpus);
    this.#count = cpuCount;
    if (batch === null || cpuTicks === null) return;
    const atMs = this.#host.bootNow();
    const usecOf = (jobs: readonly BatchUse[]) => new Map(jobs.map(({ key, usec }) => [key, usec]));
    this.#window.add({ atMs, busyUsec: cpuTicks.busy * USEC_PER_TICK, batchUsec: usecOf(batch) });
    for (const { quota, window } of this.#around.values()) {
      const busyUsec = quota.readUsec();
      const inside = batch.filter(({ path }) => path.startsWith(`${quota.path}/`));
      if (busyUsec !== null) window.add({ atMs, busyUsec, batchUsec: usecOf(inside) });
    }
  }

  /** Returns the CPUs as they were read last. `headroomOf` returns what is left free of a number of cores. */
  cores(
    headroomOf: (cores: number) => number,
  ): SharedCores & { readonly around: readonly SharedCores[]; readonly sampleAgeMs: number | null } {
    const sharedOf = (cores: number, othersCores: number | null): SharedCores => ({
      ...{ cores, headroomCores: headroomOf(cores), othersCores },
    });
    return {
      ...sharedOf(this.#count, this.#window.othersCores()),
      around: [...this.#around.values()].map(({ quota, window }) =>
        sharedOf(quota.cores, window.othersCores()),
      ),
      sampleAgeMs: this.#window.ageMs(this.#host.bootNow()),
    };
  }

  /** The most that a batch job used of late, in cores; `null` when that is not known. */
  useOf(key: string): number | null {
    return this.#window.useOf(key);
  }

  /** A quota or a list of CPUs that has changed begins a new time: what was counted before was counted elsewhere. */
  #find(batch: readonly BatchUse[]): void {
    const atMs = this.#host.bootNow();
    const keys = batch.map(({ key, path, hasClosedGate }) => `${key} ${hasClosedGate} ${path}`).join("\n");
    if (this.#found?.keys === keys && atMs - this.#found.atMs < RENEW_MS) return;
    this.#found = { keys, atMs };
    const cpus = findCpusOf(this.#host, this.#hierarchies, batch);
    if (cpus?.join() !== this.#cpus?.join()) this.#window = new UseWindow();
    this.#cpus = cpus;
    const closed = batch.filter(({ hasClosedGate }) => hasClosedGate);
    const quotas = findQuotasAround(this.#host, this.#hierarchies, closed);
    for (const path of this.#around.keys())
      if (!quotas.some((quota) => quota.path === path)) this.#around.delete(path);
    for (const quota of quotas) {
      const window = this.#around.get(quota.path)?.window ?? new UseWindow();
      this.#around.set(quota.path, { quota, window });
    }
  }
}
