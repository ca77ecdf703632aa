import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import type { JobCgroup } from "../linux/cgroup/jobCgroup.ts";
import { type JobReading, readJob } from "./jobReading.ts";
import { type Rates, ratesBetween } from "./rates.ts";

/** The present use of resources by one job. */
export interface JobSample extends Pick<JobReading, "memory" | "processCount"> {
  readonly job: OpenJob;
  /** Since the reading before. `null`: this is the first one. */
  readonly rates: Rates | null;
  /** The time between the two readings, in ms. */
  readonly intervalMs: number | null;
  readonly before: JobReading | null;
  readonly now: JobReading;
}

/** Reads jobs again and again, and returns what they used since the reading before. */
export class JobSampler {
  readonly #context: Context;
  /** Finding a cgroup takes longer than reading it. */
  readonly #cgroups = new WeakMap<OpenJob, JobCgroup>();
  #last: ReadonlyMap<string, JobReading> = new Map();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Reads these jobs. Forgets the readings of all others. */
  sample(jobs: readonly OpenJob[]): JobSample[] {
    const readings = new Map(jobs.map((job) => [job.key, readJob(this.#context, job, this.#cgroupOf(job))]));
    const samples = jobs.map((job): JobSample => {
      const now = readings.get(job.key) as JobReading;
      const before = this.#last.get(job.key) ?? null;
      const { memory, processCount } = now;
      const rates = before && ratesBetween(before, now);
      const intervalMs = before && now.atBootMs - before.atBootMs;
      return { job, rates, intervalMs, memory, processCount, before, now };
    });
    this.#last = readings;
    return samples;
  }

  #cgroupOf(job: OpenJob): JobCgroup {
    const cgroup = this.#cgroups.get(job) ?? jobCgroupOf(this.#context, job);
    this.#cgroups.set(job, cgroup);
    return cgroup;
  }
}
