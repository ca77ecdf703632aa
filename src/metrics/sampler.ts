import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import type { JobCgroup } from "../linux/cgroup/jobCgroup.ts";
import { isOutsideInitialNamespace } from "../linux/proc/namespaces.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { GpuSampler } from "./gpu/gpuSampler.ts";
import { gpuOf, type JobGpu } from "./gpu/gpuUse.ts";
import { type JobReading, readJob } from "./jobReading.ts";
import { type Rates, ratesBetween } from "./rates.ts";

/** The present use of resources by one job. */
export interface JobSample extends Pick<JobReading, "memory"> {
  readonly job: OpenJob;
  /** `null`: it has not started, or its processes are not visible. */
  readonly processCount: number | null;
  /** `null`: it uses no GPU of NVIDIA, or that is not measured. */
  readonly gpu: JobGpu | null;
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

  /** Absent where the PIDs here are not those that the driver reports. */
  readonly #gpus: GpuSampler | undefined;

  constructor(context: Context) {
    this.#context = context;
    if (!isOutsideInitialNamespace(context.host, "pid")) this.#gpus = new GpuSampler(context.warn);
  }

  /** Reads these jobs. Forgets the readings of all others. */
  sample(jobs: readonly OpenJob[]): JobSample[] {
    this.#gpus?.request();
    const devices = this.devices();
    const readings = new Map(jobs.map((job) => [job.key, readJob(this.#context, job, this.#cgroupOf(job))]));
    const samples = jobs.map((job): JobSample => {
      const now = readings.get(job.key) as JobReading;
      const before = this.#last.get(job.key) ?? null;
      const { memory, pids } = now;
      const rates = before && ratesBetween(before, now);
      const intervalMs = before && now.atBootMs - before.atBootMs;
      const processCount = pids.length === 0 ? null : pids.length;
      const gpu = gpuOf(devices, pids) ?? null;
      return { job, rates, intervalMs, memory, processCount, gpu, before, now };
    });
    this.#last = readings;
    return samples;
  }

  /** Returns the machine's NVIDIA devices as they were read last. Empty without a driver, or in another pid namespace. */
  devices(): readonly DeviceReading[] {
    return this.#gpus?.latest() ?? [];
  }

  #cgroupOf(job: OpenJob): JobCgroup {
    const cgroup = this.#cgroups.get(job) ?? jobCgroupOf(this.#context, job);
    this.#cgroups.set(job, cgroup);
    return cgroup;
  }
}
