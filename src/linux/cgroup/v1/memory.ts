import { PAGE_BYTES } from "../../memory.ts";
import type { CgroupController, CgroupDirectory } from "../controller.ts";
import {
  compareReadBack,
  limitedByAncestor,
  readCgroupFile,
  readCounters,
  readNumber,
  tightestAbove,
  writeCgroupFile,
} from "../file.ts";

/** cgroup v1 `memory`: Documentation/admin-guide/cgroup-v1/memory.rst. */
export const memory: CgroupController = {
  name: "memory",
  measures: true,
  apply: {
    "memory.high"(directory, { memoryHighBytes }) {
      const wanted = String(memoryHighBytes);
      const write = writeCgroupFile(directory, "memory.soft_limit_in_bytes", wanted);
      const outcome = compareReadBack("memory.high", wanted, write, (readBack) =>
        isRounded(readBack, wanted),
      );
      if (outcome.outcome !== "applied") return outcome;
      return {
        ...outcome,
        outcome: "partial",
        because: "cgroup v1 reclaims above a soft limit only while the whole machine is short of memory",
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
      const write = writeCgroupFile(directory, "memory.limit_in_bytes", wanted);
      return compareReadBack("memory.max", wanted, write, (readBack) => isRounded(readBack, wanted));
    },
  },
  lift: {
    "memory.high": (directory) => writeCgroupFile(directory, "memory.soft_limit_in_bytes", "-1"),
    "memory.max": (directory) => writeCgroupFile(directory, "memory.limit_in_bytes", "-1"),
  },
  read(directory) {
    const memoryHighBytes = boundedBytes(readNumber(directory, "memory.soft_limit_in_bytes"));
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

/** Before 5.11 a group could be told not to count for its children, and was by default; they escape its limit then. */
function countsForChildren(group: CgroupDirectory): boolean {
  return readCgroupFile(group, "memory.use_hierarchy") !== "0";
}

/** PAGE_COUNTER_MAX in bytes: what memory.limit_in_bytes shows when there is no limit, on machines with 4 KiB pages or larger. */
const UNLIMITED_BYTES = 0x7fff_ffff_ffff_0000;

function readLimitBytes(directory: CgroupDirectory): number | undefined {
  return boundedBytes(readNumber(directory, "memory.limit_in_bytes"));
}

function boundedBytes(bytes: number | undefined): number | undefined {
  return bytes === undefined || bytes >= UNLIMITED_BYTES ? undefined : bytes;
}

/** The kernel keeps memory limits in whole pages, rounded down. */
function isRounded(readBack: string, wanted: string): boolean {
  const difference = Number(wanted) - Number(readBack);
  return difference >= 0 && difference < PAGE_BYTES;
}
