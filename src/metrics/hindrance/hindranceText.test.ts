import { expect, test } from "bun:test";
import type { Hindrance } from "./hindrance.ts";
import { hindranceText } from "./hindranceText.ts";

const EVIDENCE: Hindrance["evidence"] = {
  isLive: true,
  targetSpeed: 1,
  speed: 0.63,
  cpuCores: 1.5,
  throttledPercent: 93,
  tenantThrottledPercent: 0,
  cpuPressurePercent: 70.6,
  memoryFullPercent: 34.6,
  ioFullPercent: 41,
  rereadPercent: 0,
  disks: { rbps: 0, wbps: 0, riops: 0, wiops: 0 },
  availableCores: 2,
  otherCores: 0.6,
  sendBacklogSeconds: 9.12,
  isSendBacklogGrowing: true,
  receiverLimitedPercent: 12,
  isInputWaiting: false,
  isInputQuiet: false,
  gpuPercent: 97,
  ownGpuPercent: 40,
};

function text(verdict: Hindrance["verdict"], different: Partial<Hindrance> = {}): string {
  const common = { sinceMs: 0, forMs: 190_000, isLive: true, neededCores: null, limit: null };
  return hindranceText({ verdict, ...common, evidence: EVIDENCE, ...different });
}

test.each([
  [
    text("own_limit", { neededCores: 2.38 }),
    "held back by its own CPU quota for 3m10s; raise it to about 2.4 cores",
  ],
  [
    text("own_limit", { neededCores: 1.02 }),
    "held back by its own CPU quota for 3m10s; raise it to about 1.0 core",
  ],
  [
    text("own_limit", { neededCores: 0.142 }),
    "held back by its own CPU quota for 3m10s; raise it to about 0.14 cores",
  ],
  [
    text("own_limit", { neededCores: 2.1, limit: { name: "cpu.max", of: "job" } }),
    "held back by its own CPU quota for 3m10s; raise it to about 2.1 cores",
  ],
  // Its quota is 2 cores.
  [
    text("own_limit", { neededCores: 1.8, limit: { name: "cpu.max", of: "job" } }),
    "held back by its own CPU quota for 3m10s; raise it",
  ],
  [text("own_limit"), "held back by its own CPU quota for 3m10s"],
  [
    text("own_limit", { neededCores: 2.4, limit: { name: "cpu.max", of: "tenant" } }),
    "held back by the CPU quota of its tenant for 3m10s",
  ],
  [
    text("own_limit", { neededCores: 2.4, limit: { name: "cpu.max", of: "governor" } }),
    "held back by the headroom governor for 3m10s",
  ],
  [text("neighbours", { neededCores: 1.8 }), "waits for CPUs that others use (71 % of the time) for 3m10s"],
  [text("memory"), "waits for memory (35 % of the time) for 3m10s"],
  [
    text("memory", { limit: { name: "memory.high", of: "job" } }),
    "waits for memory (35 % of the time) at its own memory.high for 3m10s",
  ],
  [
    text("memory", {
      limit: { name: "memory.max", of: "job" },
      evidence: { ...EVIDENCE, memoryFullPercent: 1, rereadPercent: 97 },
    }),
    "reads again what its memory has no room for (41 % of the time) at its own memory.max for 3m10s",
  ],
  [
    text("io", { limit: { name: "io.max", of: "job" } }),
    "waits for disks (41 % of the time) at its own io.max for 3m10s",
  ],
  [text("receiver"), "its receiver takes less than it sends for 3m10s; 9.1 s wait to be sent"],
  [
    text("receiver", { evidence: { ...EVIDENCE, sendBacklogSeconds: null } }),
    "its receiver takes less than it sends for 3m10s",
  ],
  [text("source"), "its input arrives too slowly for 3m10s"],
  [text("gpu"), "waits for the encoder or decoder of its GPU (97 % in use) for 3m10s"],
  [text("itself"), "too slow by itself for 3m10s"],
  [
    text("itself", { neededCores: 3.14 }),
    "too slow by itself for 3m10s; it needs about 3.1 cores and can have 2.0 cores",
  ],
])("%s", (actual, expected) => {
  expect(actual).toBe(expected);
});
