import { bindingOf, type Capacity } from "../metrics/capacity/answer.ts";
import type { Peak } from "../metrics/capacity/together.ts";
import { MAX_EXACT_SECONDS } from "../metrics/shares/need.ts";

export function capacityJson({ like, candidate, streams, running, fits, bounds, unknown }: Capacity) {
  return {
    like,
    fits,
    binding: bindingOf(bounds)?.kind ?? null,
    candidate: candidate && peakJson(candidate),
    running: running && { ...peakJson(running), is_sum_of_peaks: running.isSumOfPeaks },
    streams,
    bounds: bounds.map(({ kind, limitCores, usedCores, fits: each }) => ({
      kind,
      limit_cores: rounded(limitCores),
      used_cores: rounded(usedCores),
      fits: each,
    })),
    unknown,
  };
}

function peakJson({ cores, samples, sampleSeconds }: Peak) {
  return {
    cores: rounded(cores),
    samples,
    sample_seconds: rounded(sampleSeconds),
    is_estimate: sampleSeconds > MAX_EXACT_SECONDS,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
