import type { LimitOutcome } from "../../../limits/outcome.ts";
import type { LimitName } from "../../../limits/table.ts";
import { PAGE_BYTES } from "../../memory.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import {
  compareReadBack,
  limitedByAncestor,
  readCounters,
  readNumber,
  tightestAbove,
  writeCgroupFile,
} from "../file.ts";

/** cgroup v2 `memory`: Documentation/admin-guide/cgroup-v2.rst. */
export const memory: CgroupController = {
  name: "memory",
  measures: true,
  apply: {
    "memory.high": (directory, { memoryHighBytes }) =>
      limit(directory, "memory.high", memoryHighBytes as number),
    "memory.max": (directory, { memoryMaxBytes }) =>
      tellOomGroup(directory, limit(directory, "memory.max", memoryMaxBytes as number)),
  },
  lift: {
    "memory.high": (directory) => writeCgroupFile(directory, "memory.high", "max"),
    "memory.max": (directory) => writeCgroupFile(directory, "memory.max", "max"),
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
  forgets: ["memoryPeakBytes", "memoryMaxHits", "oomKills"],
  usage(directory) {
    // memory.events counts what happens below too. A process that ran into a limit which the workload itself set below
    // did not run into ours: that is told by memory.events.local, from 5.2.
    const events = readCounters(directory, "memory.events");
    const own = readCounters(directory, "memory.events.local");
    return {
      // memory.peak is there from 5.19.
      memoryPeakBytes: readNumber(directory, "memory.peak") ?? null,
      memoryMaxHits: own.get("oom") ?? events.get("oom") ?? null,
      oomKills: events.get("oom_kill") ?? null,
    };
  },
  settle(directory) {
    // At the hard limit one process ends and not all of the job: whether it can go on without that one is its own affair.
    // So it is in a new cgroup anyway; it is said because others (systemd, container engines) set it to 1 in theirs.
    writeCgroupFile(directory, OOM_GROUP, "0");
  },
};

/** From 4.19. */
const OOM_GROUP = "memory.oom.group";

/** The cgroup may be another's, whose choice stays; what it means for the workload is said. */
function tellOomGroup(directory: CgroupDirectory, outcome: LimitOutcome): LimitOutcome {
  if (outcome.outcome !== "applied" || readNumber(directory, OOM_GROUP) !== 1) return outcome;
  const because = `at it the kernel ends all processes of the cgroup at once (${OOM_GROUP} is 1)`;
  return { ...outcome, because: [outcome.because, because].filter(Boolean).join("; ") };
}

function limit(directory: CgroupDirectory, file: LimitName, bytes: number): LimitOutcome {
  const wanted = String(bytes);
  const above = tightestAbove(directory, (ancestor) => readNumber(ancestor, file));
  if (above && above.value <= bytes)
    return limitedByAncestor(file, wanted, { text: String(above.value), path: above.path });
  return compareReadBack(file, wanted, writeCgroupFile(directory, file, wanted), (readBack) => {
    // The kernel keeps memory limits in whole pages, rounded down.
    const difference = bytes - Number(readBack);
    return difference >= 0 && difference < PAGE_BYTES;
  });
}
