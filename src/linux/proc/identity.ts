import { type Host, readProcFile } from "../host.ts";
import { hasEnded, readStat } from "./stat.ts";

/** Identifies one process permanently: a pid is reused, but not together with boot id and start time. */
export interface ProcessIdentity {
  bootId: string;
  pid: number;
  /** Clock ticks since boot, /proc/PID/stat field 22. */
  startTicks: number;
}

/** Reads the random id of this boot. Source: /proc/sys/kernel/random/boot_id. "" where procfs hides it. */
export function readBootId(host: Host): string {
  const text = readProcFile(host, "sys/kernel/random/boot_id");
  return text === "gone" ? "" : text.trim();
}

export function readIdentity(host: Host, pid: number): ProcessIdentity | "gone" {
  const stat = readStat(host, pid);
  if (stat === "gone") return "gone";
  return { bootId: readBootId(host), pid, startTicks: stat.startTicks };
}

/** Returns whether this process is still running. A zombie is not. */
export function isAlive(host: Host, identity: ProcessIdentity): boolean {
  const stat = readStat(host, identity.pid);
  if (stat === "gone" || hasEnded(stat)) return false;
  return stat.startTicks === identity.startTicks && readBootId(host) === identity.bootId;
}
