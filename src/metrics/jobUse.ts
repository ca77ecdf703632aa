import type { Context } from "../jobs/context.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { SlowReader } from "../linux/proc/slowFacts/slowReader.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import type { Hindrance } from "./hindrance/hindrance.ts";
import { HindranceJudge } from "./hindrance/hindranceJudge.ts";
import { PaceReader } from "./hindrance/paceReader.ts";
import type { MeasuredUse } from "./measuredUse.ts";
import { MediaReader, NO_MEDIA } from "./media/mediaReader.ts";
import { NetworkReader } from "./network/networkReader.ts";
import { JobSampler } from "./sampler.ts";
import { type JobShares, JobSharesReader } from "./shares/jobShares.ts";
import { cpuSampleOf } from "./shares/need.ts";

/** The use of resources by one job, its progress, what holds it back, and its share of the CPUs. */
export interface JobUse extends MeasuredUse {
  /** `null`: nothing is known to hold it back, or not for 30 s yet. */
  readonly hindrance: Hindrance | null;
  /** `null`: not computed yet. */
  readonly shares: JobShares | null;
}

/** Measures jobs again and again, from outside of them. Reads only. */
export class JobUseReader {
  readonly #sampler: JobSampler;
  readonly #network: NetworkReader;
  readonly #media: MediaReader;
  readonly #paces: PaceReader;
  readonly #judge: HindranceJudge;
  readonly #shares: JobSharesReader;

  /** `probes`: lets ffprobe map the input files of jobs. */
  constructor(context: Context, { probes }: { probes: boolean }) {
    this.#sampler = new JobSampler(context);
    this.#network = new NetworkReader(context.host);
    const slow = new SlowReader(context.host);
    this.#media = new MediaReader(context.host, { probes, slow });
    this.#paces = new PaceReader(context.host, slow);
    this.#judge = new HindranceJudge(context.host);
    this.#shares = new JobSharesReader(context);
  }

  /** Measures these jobs, and forgets all others. Rates are those since the call before. */
  async measure(jobs: readonly OpenJob[]): Promise<JobUse[]> {
    const samples = this.#sampler.sample(jobs);
    const subjects = samples.map(({ job, now }) => ({ key: job.key, pids: now.details.pids }));
    const keys = new Set(subjects.map(({ key }) => key));
    for (const reader of [this.#network, this.#media, this.#paces, this.#judge]) reader.forgetExcept(keys);
    const [networks, medias, paces] = await Promise.all([
      this.#network.read(subjects),
      this.#media.read(subjects),
      this.#paces.read(subjects),
    ]);
    const uses = samples.map((sample): MeasuredUse => {
      const { key } = sample.job;
      const [network, media, pace] = [
        networks.get(key) ?? null,
        medias.get(key) ?? NO_MEDIA,
        paces.get(key) ?? null,
      ];
      return { ...sample, network, media, pace };
    });
    const shares = this.#shares.measure(
      uses.map((use) => ({ job: use.job, samples: cpuSampleOf(use, use.media) })),
    );
    return uses.map((use) => ({
      ...use,
      hindrance: this.#judge.judge(use, this.devices()),
      shares: shares.get(use.job.key) ?? null,
    }));
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
