import { type Host, readProcFile } from "../host.ts";
import { hasEnded, readStat } from "./stat.ts";

/** Names one process for good: pids are reused, a boot id with pid and start time is not. */
export interface ProcessIdentity {
  bootId: string;
  pid: number;
  /** Clock ticks since boot, /proc/PID/stat field 22. */
  startTicks: number;
}

/** Random at each boot. Source: /proc/sys/kernel/random/boot_id. Empty where procfs hides it. */
export function readBootId(host: Host): string {
  const text = readProcFile(host, "sys/kernel/random/boot_id");
  return text === "gone" ? "" : text.trim();
}

export function readIdentity(host: Host, pid: number): ProcessIdentity | "gone" {
  const stat = readStat(host, pid);
  if (stat === "gone") return "gone";
  return { bootId: readBootId(host), pid, startTicks: stat.startTicks };
}

/** Whether this very process still runs. One that ended and waits for its parent (a zombie) does not. */
export function isAlive(host: Host, identity: ProcessIdentity): boolean {
  const stat = readStat(host, identity.pid);
  if (stat === "gone" || hasEnded(stat)) return false;
  return stat.startTicks === identity.startTicks && readBootId(host) === identity.bootId;
}
