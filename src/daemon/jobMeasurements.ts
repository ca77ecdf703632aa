import type { RunningJob } from "../jobs/model/job.ts";
import type { ViewedJob } from "../json/jobView.ts";
import { ShownCommands } from "../json/shownCommands.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import type { StoredHistory } from "../metrics/history/encoding.ts";
import type { RingName } from "../metrics/history/jobHistory.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { reportHindrance } from "./hindranceEvents.ts";
import { Shortfalls } from "./shortfalls.ts";
import { UsageHistories } from "./usageHistories.ts";

/** The use of resources by the observed jobs: measures it again and again, and returns what was read last. */
export class JobMeasurements {
  readonly #listJobs: () => ReadonlyMap<string, RunningJob>;
  readonly #histories: UsageHistories;
  readonly #commands = new ShownCommands();
  readonly #shortfalls: Shortfalls;

  /** `listJobs` returns the jobs that are observed now, by key. */
  constructor(context: DaemonContext, listJobs: () => ReadonlyMap<string, RunningJob>) {
    this.#listJobs = listJobs;
    this.#shortfalls = new Shortfalls(context.bus);
    this.#histories = new UsageHistories(context, listJobs, undefined, {
      onHindrance: (job, change) => reportHindrance(context, job, change),
      onRead: (use) => this.#shortfalls.judge(use),
      onDrop: (key) => this.#shortfalls.forget(key),
    });
  }

  /** Call it when a job is observed. */
  wake(): void {
    this.#histories.wake();
  }

  /** Reads a job a last time, before its cgroup is removed, and records its history. */
  finish(job: RunningJob): void {
    this.#histories.finish(job);
  }

  /** Records the histories of all jobs, and reads no more. */
  stop(): void {
    this.#histories.stop();
  }

  /** Returns what each observed job uses, as it was read last. */
  uses(): JobUse[] {
    return this.#histories.uses().map((use) => {
      const isShort = this.#shortfalls.isShort(use.job.key);
      return use.shares === null ? use : { ...use, shares: { ...use.shares, isShort } };
    });
  }

  /** Returns the running jobs, the oldest first, with what they used when they were read last. */
  views(): ViewedJob[] {
    const uses = new Map(this.uses().map((use) => [use.job.key, use]));
    const jobs = [...this.#listJobs().values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    const commands = this.#commands.of(jobs);
    return jobs.map((job) => ({
      job,
      shown: commands.get(job.key),
      use: uses.get(job.key),
      cores: this.#histories.recentCoresOf(job.key),
    }));
  }

  /** Returns the jobs that need more than they are sure of, as they were read last. */
  shortOfCpu(): JobUse[] {
    return this.uses().filter(({ shares }) => shares?.isShort);
  }

  /** Returns the last readings of jobs that have ended lately. */
  endedUses(): JobUse[] {
    return this.#histories.endedUses();
  }

  /** See `UsageHistories.keepFresh`. */
  keepFresh(forMs?: number): void {
    this.#histories.keepFresh(forMs);
  }

  /** Returns what holds each observed job back, by its key. A job that nothing is known to hold back is missing. */
  hindrances(): Record<string, Hindrance> {
    return Object.fromEntries(
      this.uses().flatMap(({ job, hindrance }) => (hindrance ? [[job.key, hindrance]] : [])),
    );
  }

  /** Returns what an observed job has used until now. */
  ringsOf(key: string): Partial<Record<RingName, StoredHistory>> {
    return this.#histories.ringsOf(key);
  }

  /** Returns the same in the stored form and Base64. */
  encodedRingsOf(key: string): Partial<Record<RingName, string>> {
    return this.#histories.encodedRingsOf(key);
  }
}
