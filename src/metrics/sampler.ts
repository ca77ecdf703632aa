import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import type { KeptFiles } from "../linux/cgroup/keptFiles.ts";
import { isOutsideInitialNamespace } from "../linux/proc/namespaces.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { GpuSampler } from "./gpu/gpuSampler.ts";
import { gpuOf, type JobGpu } from "./gpu/gpuUse.ts";
import { JobReader, type JobReading } from "./jobReading.ts";
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

/** The state that is kept of a job between two readings. */
interface Kept {
  reading: JobReading | null;
  detailRates: DetailRates | null;
  /** Finding a cgroup takes longer than reading it. */
  reader: JobReader;
  /** The cgroup that the reader reads, as the job's record has it, and the same as text. */
  cgroup: OpenJob["cgroup"];
  record: string;
}

/** Where the readings of the machine's NVIDIA devices come from. */
export interface DeviceSource {
  /** Asks for a new reading, unless there is a fresh one. Resolves when it is there, or late. */
  request(): Promise<void>;
  /** Returns the last reading; `undefined` without a driver, or where it is too old. */
  latest(): readonly DeviceReading[] | undefined;
}

export const NO_DEVICES: DeviceSource = { request: async () => {}, latest: () => undefined };

/** Returns none where the PIDs here are not those that the driver reports. */
export function ownDevices({ host, warn }: Pick<Context, "host" | "warn">): DeviceSource {
  return isOutsideInitialNamespace(host, "pid") ? NO_DEVICES : new GpuSampler(warn);
}

/** Reads jobs again and again, and returns what they used since the reading before. */
export class JobSampler {
  readonly #context: Context;
  readonly #detailsEveryMs: number;
  readonly #files: KeptFiles | undefined;
  readonly #kept = new Map<string, Kept>();

  readonly #devices: DeviceSource;

  /**
   * Details are read with each reading, or at most once in `detailsEveryMs`. `files`: keeps the files of cgroups open, until
   * their job is forgotten. `devices`: who reads the GPUs; absent: this process does, in a thread.
   */
  constructor(
    context: Context,
    {
      detailsEveryMs = 0,
      files,
      devices = ownDevices(context),
    }: { detailsEveryMs?: number; files?: KeptFiles; devices?: DeviceSource } = {},
  ) {
    this.#context = context;
    this.#detailsEveryMs = detailsEveryMs;
    this.#files = files;
    this.#devices = devices;
  }

  /** Reads these jobs. Forgets the readings of all others. */
  sample(jobs: readonly OpenJob[]): JobSample[] {
    void this.#devices.request();
    const samples = jobs.map((job) => this.sampleOne(job));
    const named = new Set(jobs.map(({ key }) => key));
    for (const key of this.#kept.keys()) if (!named.has(key)) this.forget(key);
    return samples;
  }

  /** Returns the machine's NVIDIA devices as `sample` read them last. Empty without a driver, or in another pid namespace. */
  devices(): readonly DeviceReading[] {
    return this.#devices.latest() ?? [];
  }

  /** Forgets the readings of one job, and closes its files. */
  forget(key: string): void {
    this.#kept.get(key)?.reader.close();
    this.#kept.delete(key);
  }

  /** Reads one job, and keeps the readings of the others. */
  sampleOne(job: OpenJob): JobSample {
    const kept = this.#keptOf(job);
    const { reading: before, reader } = kept;
    const now = reader.read(job, before?.details, this.#detailsEveryMs);
    const { memory, processCount, details } = now;
    if (before !== null && details !== before.details)
      kept.detailRates = detailRatesBetween(before.details, details);
    kept.reading = now;
    const rates = before && ratesBetween(before, now);
    const intervalMs = before && now.atBootMs - before.atBootMs;
    const { detailRates } = kept;
    const gpu = gpuOf(this.devices(), details.pids) ?? null;
    return { job, rates, detailRates, intervalMs, memory, processCount, details, gpu, before, now };
  }

  /** A job that got another cgroup keeps its readings. */
  #keptOf(job: OpenJob): Kept {
    const kept = this.#kept.get(job.key);
    if (kept?.cgroup === job.cgroup) return kept;
    const record = JSON.stringify(job.cgroup);
    if (kept?.record === record) return Object.assign(kept, { cgroup: job.cgroup });
    kept?.reader.close();
    const reader = new JobReader(this.#context.host, jobCgroupOf(this.#context, job), this.#files);
    const renewed = { reading: null, detailRates: null, ...kept, reader, cgroup: job.cgroup, record };
    this.#kept.set(job.key, renewed);
    return renewed;
  }
}
