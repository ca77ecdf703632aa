import { PAGE_BYTES } from "../../memory.ts";
import type { CgroupController } from "../controller.ts";
import { type CgroupDirectory, counterIn, readCgroupFile, readCounter, readNumber } from "../file.ts";
import { numberFile } from "../limitFiles.ts";
import { usageV1 } from "./usage.ts";

/** The number without a limit is PAGE_COUNTER_MAX in bytes: this, on machines with 4 KiB pages, or more. */
const UNLIMITED_BYTES = 0x7fff_ffff_ffff_0000;

const BYTES = {
  untouched: "-1",
  multipleOf: PAGE_BYTES,
  fromFile: (bytes: number) => (bytes >= UNLIMITED_BYTES ? undefined : bytes),
};

const hardLimit = numberFile("memory.max", {
  ...BYTES,
  file: "memory.limit_in_bytes",
  isBoundBy: countsForChildren,
});

/** cgroup v1 `memory`: Documentation/admin-guide/cgroup-v1/memory.rst. */
export const memory: CgroupController = {
  name: "memory",
  limits: {
    "memory.high": numberFile("memory.high", {
      ...BYTES,
      file: "memory.soft_limit_in_bytes",
      isBoundBy: () => false,
      qualify(outcome) {
        if (outcome.outcome !== "applied") return outcome;
        const because =
          "cgroup v1 reclaims above a soft limit only while the whole machine is short of memory";
        return { ...outcome, outcome: "partial", because };
      },
    }),
    "memory.max": hardLimit,
  },
  bindsChildren: countsForChildren,
  usage: usageV1.memory,
  counters(directory, known) {
    known.memoryBytes ??= readNumber(directory, "memory.usage_in_bytes") ?? null;
  },
  details(directory, known) {
    const stat = readCgroupFile(directory, "memory.stat") ?? "";
    known.inactiveFileBytes ??= counterIn(stat, "total_inactive_file") ?? null;
    known.anonymousBytes ??= counterIn(stat, "total_rss") ?? null;
    known.fileBytes ??= counterIn(stat, "total_cache") ?? null;
    known.majorFaults ??= counterIn(stat, "total_pgmajfault") ?? null;
    known.memoryPeakBytes ??= readNumber(directory, "memory.max_usage_in_bytes") ?? null;
    known.oomKills ??= readCounter(directory, "memory.oom_control", "oom_kill") ?? null;
  },
  unavailable(origin) {
    if (countsForChildren(origin) || hardLimit.read(origin) === undefined) return undefined;
    return `${origin.path} limits memory without memory.use_hierarchy: a child would escape its limit`;
  },
};

/** Before 5.11 a cgroup could have memory.use_hierarchy 0, the default then: its children escape its limit. */
function countsForChildren(cgroup: CgroupDirectory): boolean {
  return readCgroupFile(cgroup, "memory.use_hierarchy") !== "0";
}
