import type { Context } from "../../jobs/context.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { JobNeeds } from "./jobNeeds.ts";
import type { CpuSample, Need } from "./need.ts";
import { placeOf, SureCoresReader } from "./sureCores.ts";

/** The cores that a job can rely on, and those that it needs. */
export interface JobShares {
  /**
   * The cores that it gets when everything that runs now is busy. `null`: it did not run lately, it has no cgroup at all, or
   * a part of the machine's cgroups is not visible.
   */
  readonly sureCores: number | null;
  /** `null`: not known, or it need not keep up with real time. */
  readonly need: Need | null;
  /** `watch` reports the job as short of CPU: see `ShortfallAlarm`. Absent: only these numbers are known. */
  readonly isShort?: boolean;
}

/** Computes the shares of jobs from the tree of cgroups and from samples of their CPU use. Reads only. */
export class JobSharesReader {
  readonly #context: Context;
  readonly #sure: SureCoresReader;
  readonly #needs = new JobNeeds();

  constructor(context: Context) {
    this.#context = context;
    this.#sure = new SureCoresReader(context.host, context.hierarchies);
  }

  /** Returns the shares of these jobs by key, given what each used in the latest span of time, and forgets all others. */
  measure(jobs: readonly { job: OpenJob; samples: readonly CpuSample[] }[]): ReadonlyMap<string, JobShares> {
    const { hierarchies } = this.#context;
    this.#needs.forgetExcept(new Set(jobs.map(({ job }) => job.key)));
    for (const { job, samples } of jobs) this.#needs.record(job, samples);
    const places = new Map(jobs.map(({ job }) => [job.key, placeOf(job, hierarchies)]));
    const sureOf = this.#sure.measure([...places.values()].filter((place) => place !== undefined));
    return new Map(
      jobs.map(({ job }) => {
        const place = places.get(job.key);
        return [job.key, { sureCores: place ? sureOf(place) : null, need: this.#needs.needOf(job) }];
      }),
    );
  }
}
