import type { OpenJob } from "../../jobs/model/job.ts";
import { LatestSamples } from "./latestSamples.ts";
import { type CpuSample, MIN_SAMPLES, type Need, needOf } from "./need.ts";

/** Sorting the samples of many jobs each second would take longer than reading the jobs. */
const RENEW_MS = 10_000;
/** The samples of each job, the latest: an hour of 10 s, 6 minutes of a second. */
const MAX_SAMPLES = 360;

const WAITING_INTENTS: readonly (string | null)[] = ["batch", "best-effort"];

/** Returns whether a job may be slower than real time, by its intent. */
export function mayWait({ intent }: Pick<OpenJob, "intent">): boolean {
  return WAITING_INTENTS.includes(intent);
}

interface Kept {
  readonly samples: LatestSamples;
  need: Need | undefined;
  /** When `need` was computed. */
  atMs: number;
}

/** Keeps the latest samples of jobs, and computes from them what each needs. */
export class JobNeeds {
  readonly #jobs = new Map<string, Kept>();
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  record({ key }: Pick<OpenJob, "key">, samples: readonly CpuSample[]): void {
    if (samples.length === 0) return;
    const kept = this.#jobs.get(key) ?? {
      samples: new LatestSamples(MAX_SAMPLES),
      need: undefined,
      atMs: Number.NEGATIVE_INFINITY,
    };
    for (const sample of samples) kept.samples.add(sample);
    this.#jobs.set(key, kept);
  }

  /** `null`: not known, or the job may wait. */
  needOf(job: Pick<OpenJob, "key" | "intent">): Need | null {
    const kept = this.#jobs.get(job.key);
    if (kept === undefined || mayWait(job)) return null;
    const nowMs = this.#now();
    // The first need is there as soon as there are enough samples. A job that works ahead of real time never has one.
    const isFirst = kept.need === undefined && kept.samples.length <= MIN_SAMPLES;
    if (isFirst || nowMs - kept.atMs >= RENEW_MS) {
      kept.need = needOf(kept.samples.numbers());
      kept.atMs = nowMs;
    }
    return kept.need ?? null;
  }

  forget(key: string): void {
    this.#jobs.delete(key);
  }

  forgetExcept(keys: ReadonlySet<string>): void {
    for (const key of this.#jobs.keys()) if (!keys.has(key)) this.#jobs.delete(key);
  }
}
