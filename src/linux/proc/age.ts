import { type Host, readProcFile } from "../host.ts";

/** USER_HZ is 100 on all supported architectures. */
const MS_PER_TICK = 10;

/** Reads the clock ticks since boot: the two decimals of a second in /proc/uptime. NaN where it is hidden. */
export function readUptimeTicks(host: Host): number {
  // 350735.47 234388.90     ← proc_uptime(5)
  return Math.round(Number.parseFloat(readProcFile(host, "uptime")) * 100);
}

/** Returns how long a process has been running, in ms; 0 where /proc/uptime cannot be read. */
export function readAgeMs(host: Host, startTicks: number): number {
  const ageTicks = readUptimeTicks(host) - startTicks;
  return ageTicks > 0 ? ageTicks * MS_PER_TICK : 0;
}
