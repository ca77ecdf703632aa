import { parseCpuMax, parseCpuQuota } from "./grammar.ts";
import { isInForce, type LimitOutcome } from "./outcome.ts";
import type { LimitName } from "./table.ts";
import { ValueFault } from "./units.ts";

/** The limits in force that a use can be compared with. `null`: none, or the kernel's value is not a number. */
export interface LimitNumbers {
  readonly cpuCores: number | null;
  readonly memoryHighBytes: number | null;
  readonly memoryMaxBytes: number | null;
  /** The tightest number of processes and threads. */
  readonly taskCount: number | null;
}

/** Reads the limits of a job, or of its tenant, from the values that the kernel had after they were written. */
export function limitNumbersOf(outcomes: readonly LimitOutcome[], of?: "tenant"): LimitNumbers {
  const actual = (name: LimitName): string | undefined =>
    outcomes.find((each) => each.limit === name && each.of === of && isInForce(each))?.actual;
  return {
    cpuCores: coresIn(actual("cpu.max")),
    memoryHighBytes: numberIn(actual("memory.high")),
    memoryMaxBytes: numberIn(actual("memory.max")),
    taskCount: numberIn(actual("pids.max")),
  };
}

// 150000 100000
// 1.5 cores   ← the limit of a cgroup above
function coresIn(text: string | undefined): number | null {
  if (text === undefined) return null;
  try {
    const { quotaUsec, periodUsec } = /core/.test(text) ? parseCpuQuota(text) : parseCpuMax(text);
    return quotaUsec === "max" ? null : quotaUsec / periodUsec;
  } catch (error) {
    if (error instanceof ValueFault) return null;
    throw error;
  }
}

function numberIn(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
