import type { JobMedia } from "../media/mediaReader.ts";
import type { JobSample } from "../sampler.ts";
import { MAX_EXACT_SECONDS } from "./needText.ts";

/** The CPU time that a job used in a span of time. */
export interface CpuSample {
  readonly seconds: number;
  readonly cores: number;
  /** Media time per time. `null`: its media time is not known. */
  readonly speed: number | null;
}

/** Returns the sample of a measurement; none for the first one, and where the use is not known. */
export function cpuSampleOf(
  { rates, intervalMs }: Pick<JobSample, "rates" | "intervalMs">,
  media: JobMedia | null,
): CpuSample[] {
  const percent = rates?.cpuPercent ?? null;
  if (percent === null || intervalMs === null || intervalMs <= 0) return [];
  return [{ seconds: intervalMs / 1000, cores: percent / 100, speed: media?.speed?.factor ?? null }];
}

/** The cores that a job needs to keep up with real time: the 95th percentile of what it uses in a second. */
export interface Need {
  readonly cores: number;
  /** The length of the samples. Of those that are longer than `MAX_EXACT_SECONDS`, the percentile is an estimate. */
  readonly sampleSeconds: number;
  /** Only samples count in which it kept up. False: all count, because its media time is not known. */
  readonly isWhileKeepingUp: boolean;
}

/** Fewer samples have no 95th percentile. */
export const MIN_SAMPLES = 20;
/** The 95th percentile of a normal distribution is so many standard deviations above its mean. */
const Z_95 = 1.645;

/** A slower job does not keep up with real time. */
const MIN_SPEED = 0.97;
/** A faster job is ahead of real time: it uses what it gets, and needs nothing of it. */
const MAX_SPEED = 1.1;

/** Samples as numbers: an object for each of 360 takes longer than all else that is done with them. */
export interface SampleNumbers {
  readonly seconds: Float64Array;
  readonly cores: Float64Array;
  /** NaN is unknown. */
  readonly speeds: Float64Array;
}

/**
 * Returns what a job needs. `undefined`: there are too few samples in which it kept up, or it works ahead of real time.
 */
export function needOf({ seconds, cores, speeds }: SampleNumbers): Need | undefined {
  const [isKept, isExact] = [new Uint8Array(seconds.length), new Uint8Array(seconds.length)];
  let [timed, kept, ahead, exact, exactAndKept] = [0, 0, 0, 0, 0];
  for (let at = 0; at < seconds.length; at++) {
    const speed = speeds[at] as number;
    isExact[at] = Number((seconds[at] as number) <= MAX_EXACT_SECONDS);
    exact += isExact[at] as number;
    if (Number.isNaN(speed)) continue;
    timed++;
    if (speed < MIN_SPEED) continue;
    isKept[at] = 1;
    kept++;
    exactAndKept += isExact[at] as number;
    if (speed > MAX_SPEED) ahead++;
  }
  // The median of those speeds is above it.
  if (kept > 0 && kept - ahead <= Math.floor(kept / 2)) return undefined;
  // A job whose media time is known can have been slow while it was not.
  const isWhileKeepingUp = timed > 0;
  const areExact = (isWhileKeepingUp ? exactAndKept : exact) >= MIN_SAMPLES;
  const [countedSeconds, countedCores] = [new Float64Array(seconds.length), new Float64Array(seconds.length)];
  let counted = 0;
  for (let at = 0; at < seconds.length; at++) {
    if ((isWhileKeepingUp && isKept[at] === 0) || (areExact && isExact[at] === 0)) continue;
    countedSeconds[counted] = seconds[at] as number;
    countedCores[counted++] = cores[at] as number;
  }
  if (counted < MIN_SAMPLES) return undefined;
  const sampleSeconds = medianOf(countedSeconds.subarray(0, counted));
  return {
    cores: p95OfSecond(sampleSeconds, countedCores.subarray(0, counted)),
    sampleSeconds,
    isWhileKeepingUp,
  };
}

/**
 * Returns the 95th percentile of the use in one second, of samples whose median length is `seconds`. Samples of about a
 * second have it. Of longer ones only means are known: if the seconds are independent of each other, their standard deviation
 * is that of the means times the root of the number of seconds in a sample. Where one busy second follows another, that is
 * too much, and so on the safe side; where a busy second follows an idle one again and again, it is too little.
 */
export function p95OfSecond(seconds: number, cores: Float64Array): number {
  if (seconds <= MAX_EXACT_SECONDS) return percentile95(cores);
  const mean = cores.reduce((sum, each) => sum + each, 0) / cores.length;
  const variance = cores.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, cores.length - 1);
  return Math.max(percentile95(cores), mean + Z_95 * Math.sqrt(variance * seconds));
}

/** The smallest value that at least 95 % of all values do not exceed. */
function percentile95(values: Float64Array): number {
  return values.toSorted()[Math.ceil(0.95 * values.length) - 1] ?? 0;
}

function medianOf(values: Float64Array): number {
  return values.toSorted()[Math.floor(values.length / 2)] ?? 0;
}
