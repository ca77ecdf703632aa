import { PAGE_BYTES } from "../../memory.ts";
import { limitedByAncestor, tightestAbove } from "../constraints.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, readBack, readCgroupFile, readCounters, readNumber } from "../file.ts";
import { compareReadBack, planFile } from "../limitPlan.ts";

const SOFT = "memory.soft_limit_in_bytes";
const HARD = "memory.limit_in_bytes";

/** cgroup v1 `memory`: Documentation/admin-guide/cgroup-v1/memory.rst. */
export const memory: CgroupController = {
  name: "memory",
  measures: true,
  plan: {
    "memory.high"(_directory, { memoryHighBytes }) {
      const wanted = String(memoryHighBytes);
      return {
        writes: [{ file: SOFT, data: wanted }],
        verify(directory) {
          const read = readBack(directory, SOFT);
          const outcome = compareReadBack("memory.high", wanted, read, (text) => isRounded(text, wanted));
          if (outcome.outcome !== "applied") return outcome;
          return {
            ...outcome,
            outcome: "partial",
            because: "cgroup v1 reclaims above a soft limit only while the whole machine is short of memory",
          };
        },
      };
    },
    "memory.max"(directory, { memoryMaxBytes }) {
      const wanted = String(memoryMaxBytes);
      const above = tightestAbove(directory, (ancestor) =>
        countsForChildren(ancestor) ? readLimitBytes(ancestor) : undefined,
      );
      if (above && above.value <= (memoryMaxBytes as number)) {
        return limitedByAncestor("memory.max", wanted, { text: String(above.value), path: above.path });
      }
      return planFile("memory.max", HARD, wanted, { isSame: (text) => isRounded(text, wanted) });
    },
  },
  lift: {
    "memory.high": () => [{ file: SOFT, data: "-1" }],
    "memory.max": () => [{ file: HARD, data: "-1" }],
  },
  read(directory) {
    const memoryHighBytes = boundedBytes(readNumber(directory, SOFT));
    const memoryMaxBytes = readLimitBytes(directory);
    return {
      ...(memoryHighBytes === undefined ? {} : { memoryHighBytes }),
      ...(memoryMaxBytes === undefined ? {} : { memoryMaxBytes }),
    };
  },
  bindsChildren: countsForChildren,
  usage(directory) {
    return {
      memoryPeakBytes: readNumber(directory, "memory.max_usage_in_bytes") ?? null,
      memoryMaxHits: readNumber(directory, "memory.failcnt") ?? null,
      oomKills: readCounters(directory, "memory.oom_control").get("oom_kill") ?? null,
    };
  },
  unavailable(origin) {
    if (countsForChildren(origin) || readLimitBytes(origin) === undefined) return undefined;
    return `${origin.path} limits memory without memory.use_hierarchy: a child would escape its limit`;
  },
};

/** Before 5.11 a cgroup could have memory.use_hierarchy 0, the default then: its children escape its limit. */
function countsForChildren(cgroup: CgroupDirectory): boolean {
  return readCgroupFile(cgroup, "memory.use_hierarchy") !== "0";
}

/** PAGE_COUNTER_MAX in bytes: memory.limit_in_bytes without a limit, on machines with 4 KiB pages or larger. */
const UNLIMITED_BYTES = 0x7fff_ffff_ffff_0000;

function readLimitBytes(directory: CgroupDirectory): number | undefined {
  return boundedBytes(readNumber(directory, HARD));
}

function boundedBytes(bytes: number | undefined): number | undefined {
  return bytes === undefined || bytes >= UNLIMITED_BYTES ? undefined : bytes;
}

/** The kernel keeps memory limits in whole pages, rounded down. */
function isRounded(readBack: string, wanted: string): boolean {
  const difference = Number(wanted) - Number(readBack);
  return difference >= 0 && difference < PAGE_BYTES;
}
