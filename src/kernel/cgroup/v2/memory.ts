import type { LimitName, LimitOutcome } from "../../limits.ts";
import { PAGE_BYTES } from "../../machine.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import { heldAbove, judgeWrite, readCounters, readNumber, tightestAbove, writeKnob } from "../knob.ts";

/** cgroup v2 `memory`: Documentation/admin-guide/cgroup-v2.rst. */
export const memory: CgroupController = {
  name: "memory",
  measures: true,
  apply: {
    "memory.high": (directory, { memoryHighBytes }) =>
      limit(directory, "memory.high", memoryHighBytes as number),
    "memory.max": (directory, { memoryMaxBytes }) => limit(directory, "memory.max", memoryMaxBytes as number),
  },
  lift: {
    "memory.high": (directory) => writeKnob(directory, "memory.high", "max"),
    "memory.max": (directory) => writeKnob(directory, "memory.max", "max"),
  },
  read(directory) {
    const memoryHighBytes = readNumber(directory, "memory.high");
    const memoryMaxBytes = readNumber(directory, "memory.max");
    return {
      ...(memoryHighBytes === undefined ? {} : { memoryHighBytes }),
      ...(memoryMaxBytes === undefined ? {} : { memoryMaxBytes }),
    };
  },
  inherited: ["memory.high", "memory.max"],
  usage(directory) {
    const events = readCounters(directory, "memory.events");
    return {
      // memory.peak is there from 5.19.
      memoryPeakBytes: readNumber(directory, "memory.peak") ?? null,
      memoryMaxHits: events.get("oom") ?? null,
      oomKills: events.get("oom_kill") ?? null,
    };
  },
};

function limit(directory: CgroupDirectory, file: LimitName, bytes: number): LimitOutcome {
  const wanted = String(bytes);
  const above = tightestAbove(directory, (ancestor) => readNumber(ancestor, file));
  if (above && above.value <= bytes)
    return heldAbove(file, wanted, { text: String(above.value), path: above.path });
  return judgeWrite(file, wanted, writeKnob(directory, file, wanted), (readBack) => {
    // The kernel keeps memory limits in whole pages, rounded down.
    const difference = bytes - Number(readBack);
    return difference >= 0 && difference < PAGE_BYTES;
  });
}
