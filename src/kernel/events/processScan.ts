import { type Host, isForbidden, readProcFile } from "../host.ts";
import { hasEnded, type ProcStat, readStat } from "../proc/stat.ts";
import { listPids } from "../proc/table.ts";
import { type Appearance, readAppearance } from "./appearance.ts";
import { mayHaveBeenGiven, type PidCursor, readForkCount, readLastPid, readPidMax } from "./pidCursor.ts";
import type { ProcessEvent } from "./processEvents.ts";

interface Young extends Appearance {
  seenAtMs: number;
}

export interface ScanResult {
  events: ProcessEvent[];
  /** False when no process was created since the last scan and listing them was spared. */
  wasListed: boolean;
}

/**
 * Finds what is new in procfs with as little reading as it takes.
 *
 * - While the fork counter stands still nothing is listed.
 * - Of a pid that was there before nothing is read, unless the kernel may have given it out again since.
 * - A process seen for the first time less than `youngMs` ago is looked at again each time: it may not have
 *   run its program yet, or not have its name. One that runs another program later goes unseen.
 */
export class ProcessScan {
  readonly #host: Host;
  readonly #youngMs: number;
  readonly #pidMax: number;
  /** Known pids and the moment (clock ticks since boot) up to which the process is known to be the same. */
  readonly #known = new Map<number, number>();
  readonly #young = new Map<number, Young>();
  #cursor: PidCursor;

  /** What is there now is taken as known, and nothing of it is read. */
  constructor(host: Host, youngMs: number) {
    this.#host = host;
    this.#youngMs = youngMs;
    this.#pidMax = readPidMax(host);
    this.#cursor = readCursor(host);
    const pids = listPids(host);
    const nowTicks = readUptimeTicks(host);
    for (const pid of pids) this.#known.set(pid, nowTicks);
  }

  scan(): ScanResult {
    const events = this.#lookAtYoung();
    // Read before the listing: a process that is created during it makes the next scan list again
    const cursor = readCursor(this.#host);
    const mustList = cursor.forks === undefined || cursor.forks !== this.#cursor.forks;
    if (mustList) events.push(...this.#list(cursor));
    return { events, wasListed: mustList };
  }

  #list(cursor: PidCursor): ProcessEvent[] {
    const before = this.#cursor;
    this.#cursor = cursor;
    const pids = listPids(this.#host);
    const nowTicks = readUptimeTicks(this.#host);
    const isSuspect = mayHaveBeenGiven(before, readCursor(this.#host), this.#pidMax);
    const events: ProcessEvent[] = [];
    const gone = new Set(this.#known.keys());
    for (const pid of pids) {
      gone.delete(pid);
      const knownUntilTicks = this.#known.get(pid);
      if (knownUntilTicks !== undefined && !isSuspect(pid)) continue;
      this.#known.set(pid, nowTicks);
      if (this.#isNewcomer(pid, knownUntilTicks)) events.push({ kind: "exec", pid, atMs: null });
    }
    for (const pid of gone) {
      this.#known.delete(pid);
      this.#young.delete(pid);
    }
    return events;
  }

  /** Kernel threads and processes that have ended already are none that anyone asks for. */
  #isNewcomer(pid: number, knownUntilTicks: number | undefined): boolean {
    const stat = readStatIfAllowed(this.#host, pid);
    if (stat === "gone" || stat.isKernelThread || hasEnded(stat)) return false;
    if (knownUntilTicks !== undefined && stat.startTicks <= knownUntilTicks) return false;
    const appearance = readAppearance(this.#host, pid);
    if (appearance === "gone") return false;
    this.#young.set(pid, { ...appearance, seenAtMs: this.#host.now() });
    return true;
  }

  #lookAtYoung(): ProcessEvent[] {
    const events: ProcessEvent[] = [];
    for (const [pid, former] of this.#young) {
      const isGrown = this.#host.now() - former.seenAtMs >= this.#youngMs;
      const appearance = readAppearance(this.#host, pid);
      if (isGrown || appearance === "gone") this.#young.delete(pid);
      if (appearance === "gone") continue;
      if (!isGrown) this.#young.set(pid, { ...former, ...appearance });
      if (appearance.program !== former.program) events.push({ kind: "exec", pid, atMs: null });
      else if (appearance.comm !== former.comm) events.push({ kind: "comm", pid, atMs: null });
    }
    return events;
  }
}

/** Where procfs hides the processes of others (hidepid=1) they are listed and cannot be read. */
function readStatIfAllowed(host: Host, pid: number): ProcStat | "gone" {
  try {
    return readStat(host, pid);
  } catch (error) {
    if (isForbidden(error)) return "gone";
    throw error;
  }
}

function readCursor(host: Host): PidCursor {
  return { forks: readForkCount(host), lastPid: readLastPid(host) };
}

/** Source: /proc/uptime, seconds with two decimals, which is what a clock tick is for procfs. */
function readUptimeTicks(host: Host): number {
  const text = readProcFile(host, "uptime");
  // 49721.43 95331.02
  return Math.round(Number.parseFloat(text) * 100);
}
