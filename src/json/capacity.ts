import { bindingOf, type Capacity } from "../metrics/capacity/answer.ts";
import type { Peak } from "../metrics/capacity/together.ts";
import { MAX_EXACT_SECONDS } from "../metrics/shares/needText.ts";
import { roundedCores } from "./rounding.ts";

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
      limit_cores: roundedCores(limitCores),
      used_cores: roundedCores(usedCores),
      fits: each,
    })),
    unknown,
  };
}

function peakJson({ cores, samples, sampleSeconds }: Peak) {
  return {
    cores: roundedCores(cores),
    samples,
    sample_seconds: roundedCores(sampleSeconds),
    is_estimate: sampleSeconds > MAX_EXACT_SECONDS,
  };
}
