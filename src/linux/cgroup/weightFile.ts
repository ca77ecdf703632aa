import { parseDigits } from "../../sys/digits.ts";
import type { Hierarchy } from "./hierarchies.ts";

/** How a cgroup keeps its weight, which is in the units of v2: 100 is the default, 1 to 10,000. */
export interface WeightFile {
  file: "cpu.shares" | "cpu.weight";
  toText(weight: number): string;
  /** NaN for a text that is no number. */
  fromText(text: string): number;
}

/** The least value of cpu.shares that the kernel keeps is 2: MIN_SHARES, kernel/sched/sched.h. */
const MIN_SHARES = 2;

const SHARES: WeightFile = {
  file: "cpu.shares",
  toText: (weight) => String(Math.max(MIN_SHARES, Math.round((weight * 1024) / 100))),
  fromText: (text) => Math.round(((parseDigits(text) ?? Number.NaN) * 100) / 1024),
};

const WEIGHT: WeightFile = {
  file: "cpu.weight",
  toText: String,
  fromText: (text) => parseDigits(text) ?? Number.NaN,
};

export function weightFileOf(hierarchy: Pick<Hierarchy, "version"> | undefined): WeightFile {
  return hierarchy?.version === 1 ? SHARES : WEIGHT;
}
