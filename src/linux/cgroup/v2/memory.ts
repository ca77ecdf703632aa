import type { LimitOutcome } from "../../../limits/outcome.ts";
import { PAGE_BYTES } from "../../memory.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, counterIn, readCgroupFile, readCounter, readNumber } from "../file.ts";
import { numberFile } from "../limitFiles.ts";
import { usageV2 } from "./usage.ts";

/** From 4.19. */
const OOM_GROUP = "memory.oom.group";

/** cgroup v2 `memory`: Documentation/admin-guide/cgroup-v2.rst. */
export const memory: CgroupController = {
  name: "memory",
  limits: {
    "memory.high": numberFile("memory.high", { multipleOf: PAGE_BYTES }),
    "memory.max": numberFile("memory.max", { multipleOf: PAGE_BYTES, qualify: mentionOomGroup }),
  },
  resets: ["memoryPeakBytes", "memoryMaxHits", "oomKills"],
  usage: usageV2.memory,
  counters(directory, known) {
    known.memoryBytes ??= readNumber(directory, "memory.current") ?? null;
  },
  details(directory, known) {
    const stat = readCgroupFile(directory, "memory.stat") ?? "";
    known.inactiveFileBytes ??= counterIn(stat, "inactive_file") ?? null;
    known.anonymousBytes ??= counterIn(stat, "anon") ?? null;
    known.fileBytes ??= counterIn(stat, "file") ?? null;
    known.majorFaults ??= counterIn(stat, "pgmajfault") ?? null;
    known.rereadBytes ??= rereadBytesIn(stat);
    known.memoryPeakBytes ??= readNumber(directory, "memory.peak") ?? null;
    known.oomKills ??= readCounter(directory, "memory.events", "oom_kill") ?? null;
  },
};

// workingset_refault_file 16282
/** Before 5.9 only pages of files are counted, in a line without a suffix. */
function rereadBytesIn(stat: string): number | null {
  const pages = counterIn(stat, "workingset_refault_file") ?? counterIn(stat, "workingset_refault");
  return pages === undefined ? null : pages * PAGE_BYTES;
}

/** The cgroup can be its owner's, whose choice stays; the outcome mentions what it means for the workload. */
function mentionOomGroup(outcome: LimitOutcome, directory: CgroupDirectory): LimitOutcome {
  if (outcome.outcome !== "applied" || readNumber(directory, OOM_GROUP) !== 1) return outcome;
  const because = `at it the kernel ends all processes of the cgroup at once (${OOM_GROUP} is 1)`;
  return { ...outcome, because: [outcome.because, because].filter(Boolean).join("; ") };
}
