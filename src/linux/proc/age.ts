import { type Host, readProcFile } from "../host.ts";

/** USER_HZ, the same on all supported architectures. */
const TICKS_PER_SECOND = 100;

/** Returns how long a process has been running, in ms; 0 where /proc/uptime cannot be read. */
export function readAgeMs(host: Host, startTicks: number): number {
  // 350735.47 234388.90     ← seconds since boot; proc_uptime(5)
  const text = readProcFile(host, "uptime");
  const uptimeSeconds = text === "gone" ? Number.NaN : Number.parseFloat(text);
  if (Number.isNaN(uptimeSeconds)) return 0;
  return Math.max(0, Math.round(uptimeSeconds * 1000 - (startTicks * 1000) / TICKS_PER_SECOND));
}
