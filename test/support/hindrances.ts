import type { Hindrance } from "../../src/metrics/hindrance/hindrance.ts";
import type { Evidence } from "../../src/metrics/hindrance/judge.ts";

/** A live encoder that keeps its speed on an idle machine with four CPUs. */
export const FREE: Evidence = {
  isLive: true,
  targetSpeed: 1,
  speed: 1,
  cpuCores: 1.2,
  throttledPercent: 0,
  tenantThrottledPercent: 0,
  cpuPressurePercent: 3,
  memoryFullPercent: 0,
  ioFullPercent: 0,
  rereadPercent: 0,
  disks: { rbps: 0, wbps: 0, riops: 0, wiops: 0 },
  availableCores: 4,
  otherCores: 0.2,
  sendBacklogSeconds: 0,
  isSendBacklogGrowing: false,
  receiverLimitedPercent: 0,
  isInputWaiting: false,
  isInputQuiet: false,
  gpuPercent: null,
  ownGpuPercent: null,
};

/** A live job that its own quota has held back for 3 min 10 s. */
export function someHindrance(different: Partial<Hindrance> = {}): Hindrance {
  return {
    verdict: "own_limit",
    sinceMs: 1_700_000_000_000,
    forMs: 190_000,
    isLive: true,
    neededCores: 2.4,
    limit: { name: "cpu.max", of: "job" },
    evidence: { ...FREE, speed: 0.63, cpuCores: 1.5, throttledPercent: 93, availableCores: 1.5 },
    ...different,
  };
}
