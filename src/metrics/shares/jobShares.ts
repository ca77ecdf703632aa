import type { Context } from "../../jobs/context.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { readMachine } from "../machine.ts";
import { type ShareGroup, sharesOf } from "./model.ts";
import { type CpuSample, type Need, needOf } from "./need.ts";
import { ShareTreeReader } from "./shareTree.ts";
import type { JobInTree } from "./treeReading.ts";

/** What a job can rely on, and what it needs. */
export interface JobShares {
  /**
   * The cores that it gets when everything is busy. `null`: it did not run lately, it has no cgroup at all, or a part of
   * the machine's cgroups is not visible.
   */
  readonly sureCores: number | null;
  /** `null`: not known, or it need not keep up with real time. */
  readonly need: Need | null;
}

/** Intents of jobs that may wait. */
const WAITING_INTENTS: readonly (string | null)[] = ["batch", "best-effort"];

export function mayWait({ intent }: Pick<OpenJob, "intent">): boolean {
  return WAITING_INTENTS.includes(intent);
}

const KEY_OF_V2 = "";
/** The time between two readings of the tree: it has all threads of the machine. */
const RENEW_MS = 10_000;
/** The first tree is from a shorter interval. */
const FIRST_MS = 500;
/** The samples of each job, the latest: an hour of 10 s, 6 minutes of a second. */
const MAX_SAMPLES = 360;

/** Computes the shares of jobs from the tree of cgroups and from samples of their CPU use. Reads only. */
export class JobSharesReader {
  readonly #context: Context;
  readonly #tree: ShareTreeReader;
  readonly #samples = new Map<string, CpuSample[]>();
  #shares = new Map<string, JobShares>();
  #root: ShareGroup | undefined;
  /** When the tree was read last; CLOCK_BOOTTIME, ms. */
  #readAtMs: number | undefined;

  constructor(context: Context) {
    this.#context = context;
    this.#tree = new ShareTreeReader(context.host, context.hierarchies);
  }

  /** The tree as it was read last. */
  get root(): ShareGroup | undefined {
    return this.#root;
  }

  /** Adds what a job used in the latest span of time. */
  record({ key }: Pick<OpenJob, "key">, ...samples: readonly CpuSample[]): void {
    const known = [...(this.#samples.get(key) ?? []), ...samples];
    this.#samples.set(key, known.slice(-MAX_SAMPLES));
  }

  /** Returns the shares of these jobs by key, computed anew at most each 10 s, and forgets all others. */
  measure(jobs: readonly OpenJob[]): ReadonlyMap<string, JobShares> {
    const nowMs = this.#context.host.bootNow();
    const waitMs = this.#root === undefined ? FIRST_MS : RENEW_MS;
    if (this.#readAtMs === undefined || nowMs - this.#readAtMs >= waitMs) {
      this.#readAtMs = nowMs;
      this.#renew(jobs);
    }
    return this.#shares;
  }

  #renew(jobs: readonly OpenJob[]): void {
    const groups = jobs.flatMap((job) => this.#placeOf(job) ?? []);
    this.#root = this.#tree.read(groups);
    const shares =
      this.#root === undefined ? undefined : sharesOf(this.#root, readMachine(this.#context.host).cpuCount);
    this.#shares = new Map(
      jobs.map((job) => {
        const sure = shares?.get(this.#placeOf(job)?.path ?? "") ?? shares?.get(job.key);
        const need = mayWait(job) ? undefined : needOf(this.#samples.get(job.key) ?? []);
        // A job without a thread that ran divides nothing, and so nothing is known of its part.
        return [job.key, { sureCores: sure || null, need: need ?? null }];
      }),
    );
    for (const key of this.#samples.keys()) if (!this.#shares.has(key)) this.#samples.delete(key);
  }

  /** Returns where the threads of a job are; `undefined` for a job without any cgroup. */
  #placeOf({ key, cgroup, process }: OpenJob): JobInTree | undefined {
    const location = cgroup.find(({ hierarchy }) => hierarchy === this.#tree.hierarchyKey) ?? cgroup[0];
    if (location === undefined || process === null) return undefined;
    const threadsFile = location.hierarchy === KEY_OF_V2 ? "cgroup.threads" : "tasks";
    return { name: key, path: location.path, threadsFile, pid: process.pid };
  }
}
