import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { SlowReader } from "../linux/proc/slowFacts/slowReader.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import type { Hindrance } from "./hindrance/hindrance.ts";
import { HindranceReader } from "./hindrance/hindranceReader.ts";
import type { MeasuredUse } from "./measuredUse.ts";
import { MediaReader, NO_MEDIA } from "./media/mediaReader.ts";
import { NetworkReader } from "./network/networkReader.ts";
import { JobSampler } from "./sampler.ts";

/** What one job uses, how far it is, and what holds it back. */
export interface JobUse extends MeasuredUse {
  /** `null`: nothing is known to hold it back, or not for 30 s yet. */
  readonly hindrance: Hindrance | null;
}

/** Measures jobs again and again, from outside of them. Reads only. */
export class JobUseReader {
  readonly #sampler: JobSampler;
  readonly #network: NetworkReader;
  readonly #media: MediaReader;
  readonly #hindrances: HindranceReader;

  /** `probes`: lets ffprobe map the input files of jobs. */
  constructor(context: Context, { probes }: { probes: boolean }) {
    this.#sampler = new JobSampler(context);
    this.#network = new NetworkReader(context.host);
    const slow = new SlowReader(context.host);
    this.#media = new MediaReader(context.host, { probes, slow });
    this.#hindrances = new HindranceReader(context.host, slow);
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
    const hindrances = await this.#hindrances.read(uses, this.devices());
    return uses.map((use) => ({ ...use, hindrance: hindrances.get(use.job.key) ?? null }));
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
