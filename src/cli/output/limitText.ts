import type { LimitOutcome } from "../../limits/outcome.ts";
import type { LimitName } from "../../limits/table.ts";

/** The names of limits in tables. */
const NAMES: Record<LimitName, string> = {
  "cpu.max": "cpu",
  "cpu.weight": "cpu weight",
  "cpu.idle": "cpu idle",
  "memory.high": "soft memory",
  "memory.max": "memory",
  "io.max": "io",
  "io.weight": "io weight",
  "pids.max": "pids",
  "cpuset.cpus": "cpus",
  nice: "nice",
  ionice: "ionice",
  oom_score_adj: "oom_score_adj",
};

/** Returns the requested limits, with a mark where one is not in force as requested: `cpu 150 %, memory 2 GiB (partial)`. */
export function limitsText(outcomes: readonly LimitOutcome[]): string {
  const texts = outcomes.map(({ limit, of, wanted, outcome }) => {
    const name = of === undefined ? NAMES[limit] : `${of}'s ${NAMES[limit]}`;
    const mark = outcome === "applied" ? "" : ` (${outcome})`;
    return `${name} ${wantedText(limit, wanted)}${mark}`;
  });
  return texts.join(", ") || "-";
}

/** Returns the number of requested limits, and apart those that are not in force as requested: `3 (1 partial)`. */
export function limitCountText(outcomes: readonly LimitOutcome[]): string {
  if (outcomes.length === 0) return "-";
  const others = (["partial", "refused", "unsupported"] as const).flatMap((kind) => {
    const count = outcomes.filter(({ outcome }) => outcome === kind).length;
    return count === 0 ? [] : [`${count} ${kind}`];
  });
  return others.length === 0 ? `${outcomes.length}` : `${outcomes.length} (${others.join(", ")})`;
}

/** Returns a value in the units of an operator. `wanted` is as an outcome has it: in the units of the kernel. */
export function wantedText(limit: LimitName, wanted: string): string {
  switch (limit) {
    case "cpu.max": {
      const [quotaUsec, periodUsec] = wanted.split(" ").map(Number);
      // 150000 100000     ← the quota can be "max"
      const percent = quotaUsec && periodUsec ? (100 * quotaUsec) / periodUsec : undefined;
      return percent === undefined ? wanted.replace(/^max .*/, "max") : `${Number(percent.toFixed(1))} %`;
    }
    case "memory.high":
    case "memory.max":
      return /^\d+$/.test(wanted) ? sizeText(Number(wanted)) : wanted;
    case "io.max":
      // 8:0 rbps=50000000 wiops=500
      return wanted.replace(
        /\b([rw]bps)=(\d+)/g,
        (_, rate, bytes) => `${rate}=${sizeText(Number(bytes), "")}/s`,
      );
    default:
      return wanted;
  }
}

const UNITS: readonly (readonly [string, number])[] = [
  ...["TiB", "GiB", "MiB", "KiB"].map((unit, index) => [unit, 1024 ** (4 - index)] as const),
  ...["TB", "GB", "MB", "kB"].map((unit, index) => [unit, 1000 ** (4 - index)] as const),
];

/** Returns the shortest exact form of a size, as it was most likely written: `1.5 GiB`, `2 GB`, `1000 MiB`. */
function sizeText(bytes: number, space = " "): string {
  const forms = UNITS.flatMap(([unit, size]) => {
    const tenths = (10 * bytes) / size;
    return tenths >= 10 && Number.isInteger(tenths) ? [`${tenths / 10}${space}${unit}`] : [];
  });
  return forms.sort((a, b) => a.length - b.length)[0] ?? `${bytes}${space}B`;
}
