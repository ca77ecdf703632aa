import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import type { JobCgroup } from "../linux/cgroup/jobCgroup.ts";
import { isOutsideInitialNamespace } from "../linux/proc/namespaces.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { GpuSampler } from "./gpu/gpuSampler.ts";
import { gpuOf, type JobGpu } from "./gpu/gpuUse.ts";
import { type JobDetails, type JobReading, readJob } from "./jobReading.ts";
import { type DetailRates, detailRatesBetween, type Rates, ratesBetween } from "./rates.ts";

/** The present use of resources by one job. */
export interface JobSample extends Pick<JobReading, "memory" | "processCount" | "details"> {
  readonly job: OpenJob;
  /** `null`: it uses no GPU of NVIDIA, or that is not measured. */
  readonly gpu: JobGpu | null;
  /** Since the reading before. `null`: this is the first one. */
  readonly rates: Rates | null;
  /** Between the last two readings of details. `null`: there was only one. */
  readonly detailRates: DetailRates | null;
  /** The time between the two readings, in ms. */
  readonly intervalMs: number | null;
  readonly before: JobReading | null;
  readonly now: JobReading;
}

/** What is kept of a job between two readings. */
interface Kept {
  reading: JobReading;
  detailRates: DetailRates | null;
}

/** Reads jobs again and again, and returns what they used since the reading before. */
export class JobSampler {
  readonly #context: Context;
  readonly #detailsEveryMs: number;
  /** Finding a cgroup takes longer than reading it. */
  readonly #cgroups = new WeakMap<OpenJob, JobCgroup>();
  readonly #kept = new Map<string, Kept>();

  /** Absent where the PIDs here are not those that the driver reports. */
  readonly #gpus: GpuSampler | undefined;

  /** Details are read with each reading, or at most once in `detailsEveryMs`. */
  constructor(context: Context, { detailsEveryMs = 0 } = {}) {
    this.#context = context;
    this.#detailsEveryMs = detailsEveryMs;
    if (!isOutsideInitialNamespace(context.host, "pid")) this.#gpus = new GpuSampler(context.warn);
  }

  /** Reads these jobs. Forgets the readings of all others. */
  sample(jobs: readonly OpenJob[]): JobSample[] {
    this.#gpus?.request();
    const samples = jobs.map((job) => this.sampleOne(job));
    const named = new Set(jobs.map(({ key }) => key));
    for (const key of this.#kept.keys()) if (!named.has(key)) this.forget(key);
    return samples;
  }

  /** Returns the machine's NVIDIA devices as `sample` read them last. Empty without a driver, or in another pid namespace. */
  devices(): readonly DeviceReading[] {
    return this.#gpus?.latest() ?? [];
  }

  /** Forgets the readings of one job. */
  forget(key: string): void {
    this.#kept.delete(key);
  }

  /** Reads one job, and keeps the readings of the others. */
  sampleOne(job: OpenJob): JobSample {
    const kept = this.#kept.get(job.key);
    const before = kept?.reading ?? null;
    const now = readJob(this.#context, job, this.#cgroupOf(job), before ? this.#recent(before) : undefined);
    const { memory, processCount, details } = now;
    const isRenewed = before !== null && details !== before.details;
    const detailRates = isRenewed ? detailRatesBetween(before.details, details) : (kept?.detailRates ?? null);
    this.#kept.set(job.key, { reading: now, detailRates });
    return {
      job,
      rates: before && ratesBetween(before, now),
      detailRates,
      intervalMs: before && now.atBootMs - before.atBootMs,
      memory,
      processCount,
      details,
      gpu: gpuOf(this.devices(), details.pids) ?? null,
      before,
      now,
    };
  }

  #recent({ details }: JobReading): JobDetails | undefined {
    const ageMs = this.#context.host.bootNow() - details.atBootMs;
    return ageMs < this.#detailsEveryMs ? details : undefined;
  }

  #cgroupOf(job: OpenJob): JobCgroup {
    const cgroup = this.#cgroups.get(job) ?? jobCgroupOf(this.#context, job);
    this.#cgroups.set(job, cgroup);
    return cgroup;
  }
}
