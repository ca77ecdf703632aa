import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { type JobMedia, MediaReader, NO_MEDIA } from "./media/mediaReader.ts";
import { type JobNetwork, NetworkReader } from "./network/networkReader.ts";
import { type JobSample, JobSampler } from "./sampler.ts";
import { type JobShares, JobSharesReader } from "./shares/jobShares.ts";
import { cpuSampleOf } from "./shares/need.ts";

/** What one job uses, and how far it is. */
export interface JobUse extends JobSample {
  /** `null`: its connections are not visible. */
  readonly network: JobNetwork | null;
  readonly media: JobMedia;
  /** `null`: not computed yet. */
  readonly shares: JobShares | null;
}

/** Measures jobs again and again, from outside of them. Reads only. */
export class JobUseReader {
  readonly #sampler: JobSampler;
  readonly #network: NetworkReader;
  readonly #media: MediaReader;
  readonly #shares: JobSharesReader;

  /** `probes`: lets ffprobe map the input files of jobs. */
  constructor(context: Context, { probes }: { probes: boolean }) {
    this.#sampler = new JobSampler(context);
    this.#network = new NetworkReader(context.host);
    this.#media = new MediaReader(context.host, { probes });
    this.#shares = new JobSharesReader(context);
  }

  /** Measures these jobs, and forgets all others. Rates are those since the call before. */
  async measure(jobs: readonly OpenJob[]): Promise<JobUse[]> {
    const samples = this.#sampler.sample(jobs);
    const subjects = samples.map(({ job, now }) => ({ key: job.key, pids: now.details.pids }));
    const keys = new Set(subjects.map(({ key }) => key));
    for (const reader of [this.#network, this.#media]) reader.forgetExcept(keys);
    const [networks, medias] = await Promise.all([this.#network.read(subjects), this.#media.read(subjects)]);
    const uses = samples.map((sample) => ({
      ...sample,
      network: networks.get(sample.job.key) ?? null,
      media: medias.get(sample.job.key) ?? NO_MEDIA,
    }));
    const shares = this.#shares.measure(
      uses.map((use) => ({ job: use.job, samples: cpuSampleOf(use, use.media) })),
    );
    return uses.map((use) => ({ ...use, shares: shares.get(use.job.key) ?? null }));
  }

  /** Returns the machine's NVIDIA devices as `measure` read them last. Empty without a driver, or in another pid namespace. */
  devices(): readonly DeviceReading[] {
    return this.#sampler.devices();
  }

  /** Resolves when the files are mapped that the last call of `measure` asked for. */
  settle(): Promise<void> {
    return this.#media.settle();
  }

  close(): void {
    this.#network.close();
    this.#media.close();
  }
}
