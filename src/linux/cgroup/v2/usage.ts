import type { UsageReaders } from "../controller.ts";
import { readCounters, readIoBytes, readNumber } from "../file.ts";

/** The readers of what a cgroup of v2 has used, by controller. The end of a plain launch needs nothing else of them. */
export const usageV2 = {
  cpu(directory) {
    // The usage lines are in every cgroup; the throttling lines only where the controller is on.
    const counters = readCounters(directory, "cpu.stat");
    return {
      cpuUserUsec: counters.get("user_usec") ?? null,
      cpuSystemUsec: counters.get("system_usec") ?? null,
      throttledUsec: counters.get("throttled_usec") ?? null,
    };
  },
  memory(directory) {
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
  // 8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
  io: (directory) => readIoBytes(directory, "io.stat", { read: " rbytes=", written: " wbytes=" }),
} satisfies UsageReaders;
