import { type Host, isForbidden, readProcFile } from "../host.ts";
import { hasEnded, type ProcStat, readStat } from "../proc/stat.ts";
import { isProcess, listPids } from "../proc/table.ts";
import { type Appearance, readAppearance } from "./appearance.ts";
import {
  allocatedBetween,
  type PidCursor,
  type PidSpan,
  readForkCount,
  readLastPid,
  readPidMax,
} from "./pidCursor.ts";
import type { ProcessEvent } from "./processEvents.ts";

/** Asking for one pid takes about as long as listing so many. */
const PIDS_LISTED_PER_CHECK = 8;
/** How often everything is listed all the same: to forget who is gone, and to find who came with a chosen pid. */
const LIST_INTERVAL_MS = 60_000;

interface Young extends Appearance {
  seenAtMs: number;
}

export interface ScanResult {
  events: ProcessEvent[];
  /** False when no process was created since the last scan, or so few that only their pids were asked for. */
  wasListed: boolean;
}

/**
 * Finds what is new in procfs with as little reading as it takes.
 *
 * - While the fork counter stands still nothing is looked at.
 * - When only few pids can have been given out since, only those are asked for. Listing all, which takes a
 *   millisecond per thousand, is left to when there are many, and to once a minute.
 * - Of a pid that was there before nothing is read, unless the kernel may have given it out again since.
 * - A process seen for the first time less than `recheckWindowMs` ago is looked at again each time: it may not have
 *   run its program yet, or not have its name. One that runs another program later goes unseen.
 */
export class ProcessScan {
  readonly #host: Host;
  readonly #recheckWindowMs: number;
  readonly #pidMax: number;
  /** Known pids and the moment (clock ticks since boot) up to which the process is known to be the same. */
  readonly #known = new Map<number, number>();
  readonly #young = new Map<number, Young>();
  #cursor: PidCursor;
  #cursorBefore: PidCursor;
  #listedAtMs: number;

  /** What is there now is taken as known, and nothing of it is read. */
  constructor(host: Host, recheckWindowMs: number) {
    this.#host = host;
    this.#recheckWindowMs = recheckWindowMs;
    this.#pidMax = readPidMax(host);
    this.#cursor = readCursor(host);
    this.#cursorBefore = this.#cursor;
    this.#listedAtMs = host.now();
    const pids = listPids(host);
    const nowTicks = readUptimeTicks(host);
    for (const pid of pids) this.#known.set(pid, nowTicks);
  }

  scan(): ScanResult {
    const events = this.#recheckYoung();
    // Read before the look: a process that is created during it makes the next scan look again
    const cursor = readCursor(this.#host);
    if (cursor.forks !== undefined && cursor.forks === this.#cursor.forks) {
      return { events, wasListed: false };
    }
    // From the scan before the last one on: a pid is given out a moment before its process can be seen
    const before = this.#cursorBefore;
    this.#cursorBefore = this.#cursor;
    this.#cursor = cursor;
    const span = allocatedBetween(before, readCursor(this.#host), this.#pidMax);
    const mustList = this.#mustList(span, before, cursor);
    if (mustList) events.push(...this.#list(span));
    else
      events.push(
        ...this.#compare(
          [...span].filter((pid) => isProcessToUs(this.#host, pid)),
          span,
        ),
      );
    return { events, wasListed: mustList };
  }

  #mustList(span: PidSpan, before: PidCursor, now: PidCursor): boolean {
    if (this.#host.now() - this.#listedAtMs >= LIST_INTERVAL_MS) return true;
    if (span.size * PIDS_LISTED_PER_CHECK > this.#known.size) return true;
    // More processes than pids in their order: somebody chose pids, or procfs shows a pid namespace of its own
    return (now.forks ?? Infinity) - (before.forks ?? 0) > span.size;
  }

  #list(span: PidSpan): ProcessEvent[] {
    this.#listedAtMs = this.#host.now();
    const pids = listPids(this.#host);
    const events = this.#compare(pids, span);
    const present = new Set(pids);
    for (const pid of this.#known.keys()) {
      if (present.has(pid)) continue;
      this.#known.delete(pid);
      this.#young.delete(pid);
    }
    return events;
  }

  #compare(pids: number[], suspects: PidSpan): ProcessEvent[] {
    const nowTicks = readUptimeTicks(this.#host);
    const events: ProcessEvent[] = [];
    for (const pid of pids) {
      const knownUntilTicks = this.#known.get(pid);
      if (knownUntilTicks !== undefined && !suspects.has(pid)) continue;
      this.#known.set(pid, nowTicks);
      if (this.#isNewcomer(pid, knownUntilTicks)) events.push({ kind: "exec", pid, atMs: null });
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

  #recheckYoung(): ProcessEvent[] {
    const events: ProcessEvent[] = [];
    for (const [pid, former] of this.#young) {
      const isGrown = this.#host.now() - former.seenAtMs >= this.#recheckWindowMs;
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

function isProcessToUs(host: Host, pid: number): boolean {
  try {
    return isProcess(host, pid);
  } catch (error) {
    if (isForbidden(error)) return false;
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
