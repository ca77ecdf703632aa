import type { CgroupLimitName } from "../../../limits/table.ts";
import { PAGE_BYTES } from "../../memory.ts";
import { limitedByAncestor, tightestAbove } from "../constraints.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readCounters, readNumber, writeCgroupFile } from "../file.ts";
import { type LimitWrites, type PlanLimit, planFile } from "../limitPlan.ts";

/** cgroup v2 `memory`: Documentation/admin-guide/cgroup-v2.rst. */
export const memory: CgroupController = {
  name: "memory",
  measures: true,
  plan: {
    "memory.high": (directory, { memoryHighBytes }) =>
      planBytes(directory, "memory.high", memoryHighBytes as number),
    "memory.max"(directory, { memoryMaxBytes }) {
      const plan = planBytes(directory, "memory.max", memoryMaxBytes as number);
      return "outcome" in plan ? mentionOomGroup(directory, plan) : withOomGroup(plan);
    },
  },
  lift: {
    "memory.high": () => [{ file: "memory.high", data: "max" }],
    "memory.max": () => [{ file: "memory.max", data: "max" }],
  },
  read(directory) {
    const memoryHighBytes = readNumber(directory, "memory.high");
    const memoryMaxBytes = readNumber(directory, "memory.max");
    return {
      ...(memoryHighBytes === undefined ? {} : { memoryHighBytes }),
      ...(memoryMaxBytes === undefined ? {} : { memoryMaxBytes }),
    };
  },
  resets: ["memoryPeakBytes", "memoryMaxHits", "oomKills"],
  usage(directory) {
    // memory.events counts what happens below too. memory.events.local, from 5.2, leaves out the processes that ran into
    // a limit which the workload set below by itself.
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
    // At the hard limit the kernel ends one process and not all of the job; the workload decides how to continue without
    // it. A new cgroup has 0 already. It is written because systemd and container engines set 1 in theirs.
    writeCgroupFile(directory, OOM_GROUP, "0");
  },
};

/** From 4.19. */
const OOM_GROUP = "memory.oom.group";

function withOomGroup(plan: LimitWrites): LimitWrites {
  return { ...plan, verify: (directory) => mentionOomGroup(directory, plan.verify(directory)) };
}

/** The cgroup can be its owner's, whose choice stays; the outcome mentions what it means for the workload. */
function mentionOomGroup(
  directory: CgroupDirectory,
  outcome: ReturnType<LimitWrites["verify"]>,
): typeof outcome {
  if (outcome.outcome !== "applied" || readNumber(directory, OOM_GROUP) !== 1) return outcome;
  const because = `at it the kernel ends all processes of the cgroup at once (${OOM_GROUP} is 1)`;
  return { ...outcome, because: [outcome.because, because].filter(Boolean).join("; ") };
}

function planBytes(directory: CgroupDirectory, file: CgroupLimitName, bytes: number): ReturnType<PlanLimit> {
  const wanted = String(bytes);
  const above = tightestAbove(directory, (ancestor) => readNumber(ancestor, file));
  if (above && above.value <= bytes)
    return limitedByAncestor(file, wanted, { text: String(above.value), path: above.path });
  return planFile(file, file, wanted, {
    isSame(readBack) {
      // The kernel keeps memory limits in whole pages, rounded down.
      const difference = bytes - Number(readBack);
      return difference >= 0 && difference < PAGE_BYTES;
    },
  });
}
