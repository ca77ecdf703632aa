import type { Context } from "../jobs/context.ts";
import type { EndedJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { repairJob } from "../jobs/recovery/recover.ts";
import { watchLastExit } from "../linux/cgroup/lastExit.ts";
import type { FileWatch } from "../linux/fileWatch.ts";

/** Whoever closes a job removes its cgroup a moment after its result is on record, and is not to be interfered with. */
const DEBOUNCE_MS = 250;

/**
 * Ended jobs of which processes are left. Their cgroups stay, and so their limits, until the last has gone: cgroup v2 tells
 * when (cgroup.events), on v1 it is found by looking.
 */
export class LingeringJobs {
  readonly #context: Context;
  readonly #log: (line: string) => void;
  /** By the key of the job; `undefined` where the kernel does not tell. */
  readonly #watches = new Map<string, FileWatch | undefined>();
  #settling: ReturnType<typeof setTimeout> | undefined;

  constructor(context: Context, log: (line: string) => void) {
    this.#context = context;
    this.#log = log;
  }

  /** To be called when jobs may have ended, whoever closed them. */
  notice(): void {
    const jobs = this.#context.ledger.endedJobsToCleanUp();
    if (jobs.every(({ key }) => this.#watches.has(key))) return;
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.cleanUp();
    }, DEBOUNCE_MS);
  }

  /** Removes what nobody is in any more, and watches the rest. */
  cleanUp(): void {
    const jobs = this.#context.ledger.endedJobsToCleanUp();
    for (const key of this.#watches.keys()) {
      if (jobs.every((job) => job.key !== key)) this.#forget(key);
    }
    for (const job of jobs) {
      // Watched before it is looked at: the last may go in between.
      this.#watch(job);
      this.#release(job);
    }
  }

  stop(): void {
    clearTimeout(this.#settling);
    for (const key of [...this.#watches.keys()]) this.#forget(key);
  }

  #watch(job: EndedJob): void {
    if (this.#watches.has(job.key)) return;
    const watch = watchLastExit(jobCgroupOf(this.#context, job), () => this.#release(job));
    this.#watches.set(job.key, watch);
  }

  #release(job: EndedJob): void {
    if (!this.#watches.has(job.key) || repairJob(this.#context, job) !== "cleaned-up") return;
    this.#forget(job.key);
    this.#log(`Job ${job.jobId} ended before; nothing of it is left now`);
  }

  #forget(key: string): void {
    this.#watches.get(key)?.close();
    this.#watches.delete(key);
  }
}
