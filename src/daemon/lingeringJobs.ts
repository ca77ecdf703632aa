import type { EndedJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { repairJob } from "../jobs/recovery/recover.ts";
import { watchLastExit } from "../linux/cgroup/lastExit.ts";
import type { FileWatch } from "../linux/fileWatch.ts";
import type { DaemonContext } from "./daemonContext.ts";

/** The ffrtmp that records the end of a job removes its cgroup a moment later, and must not be disturbed. */
const DEBOUNCE_MS = 250;

/**
 * Ended jobs that left processes. Their cgroups, and so their limits, stay until the last process has ended:
 * on cgroup v2 the kernel reports that (cgroup.events), on v1 `cleanUp` finds it.
 */
export class LingeringJobs {
  readonly #context: DaemonContext;
  /** By the key of the job; `undefined` where the kernel does not report the last exit. */
  readonly #watches = new Map<string, FileWatch | undefined>();
  #cleanUpTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: DaemonContext) {
    this.#context = context;
  }

  /** Cleans up in a moment if the ledger has ended jobs that are not watched yet. Call it after an end. */
  scheduleCleanUp(): void {
    const jobs = this.#context.ledger.endedJobsToCleanUp();
    if (jobs.every(({ key }) => this.#watches.has(key))) return;
    this.#cleanUpTimer ??= setTimeout(() => {
      this.#cleanUpTimer = undefined;
      this.#context.postponed.attempt(() => this.cleanUp());
    }, DEBOUNCE_MS);
  }

  /** Removes the cgroups that are empty, and watches the others. */
  cleanUp(): void {
    const jobs = this.#context.ledger.endedJobsToCleanUp();
    for (const key of this.#watches.keys()) {
      if (jobs.every((job) => job.key !== key)) this.#unwatch(key);
    }
    for (const job of jobs) {
      // Watch first: the last process may end in between.
      if (!this.#watches.has(job.key)) {
        const watch = watchLastExit(jobCgroupOf(this.#context, job), () =>
          this.#context.postponed.attempt(() => this.#tryToRemove(job)),
        );
        this.#watches.set(job.key, watch);
      }
      this.#tryToRemove(job);
    }
  }

  stop(): void {
    clearTimeout(this.#cleanUpTimer);
    for (const key of [...this.#watches.keys()]) this.#unwatch(key);
  }

  #tryToRemove(job: EndedJob): void {
    if (!this.#watches.has(job.key) || repairJob(this.#context, job) !== "cleaned-up") return;
    this.#unwatch(job.key);
    this.#context.bus.emit({ kind: "job-cleaned-up", job });
  }

  #unwatch(key: string): void {
    this.#watches.get(key)?.close();
    this.#watches.delete(key);
  }
}
