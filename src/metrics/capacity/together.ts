import type { Point } from "../history/points.ts";
import { MIN_SAMPLES, p95OfSecond } from "../shares/need.ts";
import { MAX_EXACT_SECONDS } from "../shares/needText.ts";

/** The CPU use of a job over time. */
export interface Series {
  readonly points: readonly (Pick<Point, "startMs" | "endMs"> & {
    readonly counts: Pick<Point["counts"], "cpuUsec">;
    readonly gauges?: Pick<Point["gauges"], "speedPermille">;
  })[];
}

/** A point in which the job was slower says too little about what it needs. */
const MIN_SPEED_PERMILLE = 970;

/** Returns the points in which the job was not slower than real time, as far as that is known. */
export function whileKeepingUp({ points }: Series): Series {
  const isSlow = ({ gauges }: Series["points"][number]) =>
    (gauges?.speedPermille?.max ?? MIN_SPEED_PERMILLE) < MIN_SPEED_PERMILLE;
  return { points: points.filter((point) => !isSlow(point)) };
}

/** The peak of several jobs together. */
export interface Peak {
  /** The 95th percentile of the cores that they use in a second. */
  readonly cores: number;
  readonly samples: number;
  /** The length of the samples; of more than `MAX_EXACT_SECONDS`, the percentile is an estimate from means. */
  readonly sampleSeconds: number;
  /** They have not run together for long enough: it is the sum of the peak of each. */
  readonly isSumOfPeaks: boolean;
}

interface Sample {
  readonly seconds: number;
  readonly cores: number;
}

/** Returns the use between two points in time, of each point that has it. */
export function samplesOf({ points }: Series): Sample[] {
  return points.flatMap(({ startMs, endMs, counts: { cpuUsec } }) =>
    cpuUsec === null || endMs <= startMs
      ? []
      : [{ seconds: (endMs - startMs) / 1000, cores: cpuUsec / (1000 * (endMs - startMs)) }],
  );
}

/** Returns the peak of one job, or of several that are alike. `undefined`: there are too few samples. */
export function peakOf(samples: readonly Sample[]): Peak | undefined {
  const exact = samples.filter(({ seconds }) => seconds <= MAX_EXACT_SECONDS);
  const counted = exact.length >= MIN_SAMPLES ? exact : samples;
  if (counted.length < MIN_SAMPLES) return undefined;
  const sampleSeconds = medianOf(counted.map(({ seconds }) => seconds));
  const cores = p95OfSecond(
    sampleSeconds,
    Float64Array.from(counted, (each) => each.cores),
  );
  return { cores, samples: counted.length, sampleSeconds, isSumOfPeaks: false };
}

/**
 * Returns the peak of the sum of jobs in the time in which all of them ran. The points of jobs do not begin together, so each
 * is spread evenly over spans of the length of the longest. `undefined`: a job has too few samples.
 */
export function peakOfSum(series: readonly Series[]): Peak | undefined {
  if (series.length === 0) return { cores: 0, samples: 0, sampleSeconds: 0, isSumOfPeaks: false };
  const spanMs =
    1000 * Math.max(1, ...series.map((each) => medianOf(samplesOf(each).map(({ seconds }) => seconds))));
  const startMs = Math.max(...series.map(({ points }) => points[0]?.startMs ?? Number.POSITIVE_INFINITY));
  const endMs = Math.min(...series.map(({ points }) => points.at(-1)?.endMs ?? Number.NEGATIVE_INFINITY));
  const samples: Sample[] = [];
  for (let end = endMs; end - spanMs >= startMs; end -= spanMs) {
    const parts = series.map((each) => coresBetween(each, end - spanMs, end));
    const known = parts.filter((cores) => cores !== undefined);
    if (known.length === parts.length)
      samples.push({ seconds: spanMs / 1000, cores: known.reduce((sum, cores) => sum + cores, 0) });
  }
  return peakOf(samples) ?? sumOfPeaks(series);
}

/** At most too much: peaks that do not come together add up here. */
function sumOfPeaks(series: readonly Series[]): Peak | undefined {
  const peaks = series.map((each) => peakOf(samplesOf(each)));
  const known = peaks.filter((peak) => peak !== undefined);
  if (known.length < peaks.length) return undefined;
  return {
    cores: known.reduce((sum, { cores }) => sum + cores, 0),
    samples: Math.min(...known.map(({ samples }) => samples)),
    sampleSeconds: Math.max(...known.map(({ sampleSeconds }) => sampleSeconds)),
    isSumOfPeaks: true,
  };
}

/** `undefined`: a part of the span is unknown, or only known as a mean over much more than the span. */
function coresBetween({ points }: Series, startMs: number, endMs: number): number | undefined {
  let usec = 0;
  for (const { startMs: start, endMs: end, counts } of points) {
    const commonMs = Math.min(end, endMs) - Math.max(start, startMs);
    if (commonMs <= 0) continue;
    if (counts.cpuUsec === null || end - start > 2 * (endMs - startMs)) return undefined;
    usec += (counts.cpuUsec * commonMs) / (end - start);
  }
  return usec / (1000 * (endMs - startMs));
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
