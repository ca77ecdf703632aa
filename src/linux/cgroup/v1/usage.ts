import type { Usage } from "../../../limits/usage.ts";
import type { UsageReaders } from "../controller.ts";
import { type CgroupFiles, type DeviceWords, readCounter, readIoBytes, readNumber } from "../file.ts";

// 254:0 Read 1024
// 254:0 Write 0
// Total 1024
export const DEVICE_WORDS: DeviceWords = { read: " Read ", written: " Write " };

/** The readers of what a cgroup of v1 has used, by controller. The end of a plain launch needs nothing else of them. */
export const usageV1 = {
  cpu(directory) {
    const throttledNsec = readCounter(directory, "cpu.stat", "throttled_time");
    return { throttledUsec: throttledNsec === undefined ? null : Math.round(throttledNsec / 1000) };
  },
  cpuacct: readShares,
  memory: (directory) => ({
    memoryPeakBytes: readNumber(directory, "memory.max_usage_in_bytes") ?? null,
    memoryMaxHits: readNumber(directory, "memory.failcnt") ?? null,
    oomKills: readCounter(directory, "memory.oom_control", "oom_kill") ?? null,
  }),
  blkio: (directory) => readIoBytes(directory, "blkio.throttle.io_service_bytes_recursive", DEVICE_WORDS),
} satisfies UsageReaders;

/**
 * Divides the exact CPU time into user and system time. usage_user and usage_sys count whole ticks of the timer, and under a
 * CPU quota their sum was measured 50 % too high. cgroup v2 divides in the same way: cputime_adjust(), kernel/sched/cputime.c.
 */
function readShares(directory: CgroupFiles): Partial<Usage> {
  const total = readNsecAsUsec(directory, "cpuacct.usage");
  const user = readNsecAsUsec(directory, "cpuacct.usage_user");
  const system = readNsecAsUsec(directory, "cpuacct.usage_sys");
  if (total === null || user === null || system === null) return { cpuUserUsec: user, cpuSystemUsec: system };
  const cpuUserUsec = user + system === 0 ? total : Math.round((total * user) / (user + system));
  return { cpuUserUsec, cpuSystemUsec: total - cpuUserUsec };
}

export function readNsecAsUsec(directory: CgroupFiles, file: string): number | null {
  const nsec = readNumber(directory, file);
  return nsec === undefined ? null : Math.round(nsec / 1000);
}
