import { bindingOf, type Capacity } from "../../metrics/capacity/answer.ts";
import type { Bound } from "../../metrics/capacity/capacity.ts";
import type { Peak } from "../../metrics/capacity/together.ts";
import { MAX_EXACT_SECONDS } from "../../metrics/shares/needText.ts";
import { coresText } from "./amounts.ts";
import { type Column, type Pair, renderPairs, renderTable } from "./table.ts";

/** Returns the answer in a sentence, then from what it follows. */
export function capacityText(answer: Capacity, cpuCount: number): string {
  const { bounds, candidate, running, streams, unknown } = answer;
  const pairs: Pair[] = [
    ...(candidate === null ? [] : [["each more", peakText(candidate)] as Pair]),
    ...(running === null || streams.length === 0
      ? []
      : [
          [
            "running",
            `${streams.length} ${streams.length === 1 ? "stream" : "streams"}, ${peakText(running)}`,
          ] as Pair,
        ]),
    ...unknown.map((each): Pair => ["not known", each]),
  ];
  return [
    sentence(answer, cpuCount),
    ...(pairs.length === 0 ? [] : [renderPairs(pairs)]),
    ...(bounds.length === 0 ? [] : [renderTable(columns(cpuCount), bounds)]),
  ].join("\n\n");
}

function sentence({ fits, like, bounds }: Capacity, cpuCount: number): string {
  const likeWhich = like === null ? "" : ` like ${like}`;
  const binding = bindingOf(bounds);
  if (fits === null || binding === undefined) return `It is not known how many more streams${likeWhich} fit.`;
  const one = fits === 0 ? "No more stream" : fits === 1 ? "1 more stream" : undefined;
  const count = one ? `${one}${likeWhich} fits` : `${fits} more streams${likeWhich} fit`;
  return `${count}. The tightest bound is ${nameOf(binding, cpuCount)}.`;
}

function nameOf({ kind }: Bound, cpuCount: number): string {
  if (kind === "cores") return `90 % of ${cpuCount} cores`;
  return kind === "tenant" ? "the total of the tenant" : "the weights";
}

/** Returns `0.40 cores in a busy second (of 60 samples of 10 s: an estimate)`. */
function peakText({ cores, samples, sampleSeconds, isSumOfPeaks }: Peak): string {
  const length = sampleSeconds < 9.5 ? sampleSeconds.toFixed(1) : sampleSeconds.toFixed(0);
  const means = sampleSeconds > MAX_EXACT_SECONDS ? ": an estimate from means" : "";
  const how = isSumOfPeaks ? "the sum of the peaks of each" : `${samples} samples of ${length} s${means}`;
  return `${coresText(cores)} cores in a busy second (${how})`;
}

const columns = (cpuCount: number): Column<Bound>[] => [
  { heading: "BOUND", text: (bound) => nameOf(bound, cpuCount) },
  { heading: "CORES", right: true, text: ({ limitCores }) => coresText(limitCores) },
  { heading: "IN USE", right: true, text: ({ usedCores }) => coresText(usedCores) },
  { heading: "MORE FIT", right: true, text: ({ fits }) => String(fits) },
];
