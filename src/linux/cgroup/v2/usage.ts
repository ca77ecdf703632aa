import type { UsageReaders } from "../controller.ts";
import { counterIn, readCgroupFile, readIoBytes, readNumber } from "../file.ts";

/** The readers of what a cgroup of v2 has used, by controller. The end of a plain launch needs nothing else of them. */
export const usageV2 = {
  cpu(directory) {
    // The usage lines are in every cgroup; the throttling lines only where the controller is on.
    const counters = readCgroupFile(directory, "cpu.stat") ?? "";
    return {
      cpuUserUsec: counterIn(counters, "user_usec") ?? null,
      cpuSystemUsec: counterIn(counters, "system_usec") ?? null,
      throttledUsec: counterIn(counters, "throttled_usec") ?? null,
    };
  },
  memory(directory) {
    // memory.events counts what happens below too. memory.events.local, from 5.2, leaves out the processes that ran into
    // a limit which the workload set below by itself.
    const events = readCgroupFile(directory, "memory.events") ?? "";
    const own = readCgroupFile(directory, "memory.events.local") ?? "";
    return {
      // memory.peak is there from 5.19.
      memoryPeakBytes: readNumber(directory, "memory.peak") ?? null,
      memoryMaxHits: counterIn(own, "oom") ?? counterIn(events, "oom") ?? null,
      oomKills: counterIn(events, "oom_kill") ?? null,
    };
  },
  // 8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
  io: (directory) => readIoBytes(directory, "io.stat", { read: " rbytes=", written: " wbytes=" }),
} satisfies UsageReaders;
