import { type Host, isForbidden, readProcFile, unlessGone } from "../host.ts";
import { hasEnded, readProgram, readStat, readUptimeTicks } from "../proc/stat.ts";
import { isProcess, listPids, processExists, readLink } from "../proc/table.ts";
import type { DroppedExecs } from "./execFilter.ts";
import { allocatedBetween, type PidCursor, type PidSpan, readPidCursor, readPidMax } from "./pidCursor.ts";
import type { ProcessEvent } from "./processEvents.ts";

/** Checking one pid takes about as long as listing this many. */
const PIDS_LISTED_PER_CHECK = 8;
/** How often ended processes are forgotten. Until then, one with the chosen pid of such a process is not new. */
const FORGET_INTERVAL_MS = 60_000;
/**
 * How often all processes are listed anyway. One with a chosen pid is found before, because it makes more forks than pids, unless the
 * kernel has skipped pids in use, or forks have failed.
 */
const LIST_INTERVAL_MS = 300_000;

/** `program`: the executable, and what changes when another program is executed. */
interface Appearance {
  program: string;
  comm: string;
}

/**
 * Finds new processes in procfs with as little reading as possible.
 *
 * - While the fork counter does not change, nothing is read.
 * - When the kernel can have allocated only a few pids since the last scan, only those are checked. All
 *   processes, which takes a millisecond per thousand, are listed when there are many new pids, and each five
 *   minutes.
 * - A known process is not read again, unless the kernel may have allocated its pid again since.
 * - A process first seen less than `recheckWindowMs` ago is checked at each scan: it may not have executed
 *   its program yet, or not have its name. A program that is executed later is not noticed.
 */
export class ProcessScan {
  readonly #host: Host;
  readonly #recheckWindowMs: number;
  readonly #pidMax: number;
  /** Known pids, with the time (clock ticks since boot) up to which each belongs to the same process. */
  readonly #known = new Map<number, number>();
  #highestPid = 0;
  /** Processes that were first seen less than `recheckWindowMs` ago. */
  readonly #young = new Map<number, Appearance & { seenAtMs: number }>();
  #cursor: PidCursor;
  #cursorBefore: PidCursor;
  #listedAtMs: number;
  #forgottenAtMs: number;

  /** Marks the present processes as known, without reading them. */
  constructor(host: Host, recheckWindowMs: number) {
    this.#host = host;
    this.#recheckWindowMs = recheckWindowMs;
    this.#pidMax = readPidMax(host);
    this.#cursor = readPidCursor(host);
    this.#cursorBefore = this.#cursor;
    this.#listedAtMs = host.bootNow();
    this.#forgottenAtMs = this.#listedAtMs;
    const pids = listPids(host);
    const nowTicks = readUptimeTicks(host);
    for (const pid of pids) this.#know(pid, nowTicks);
  }

  #know(pid: number, untilTicks: number): void {
    this.#known.set(pid, untilTicks);
    this.#highestPid = Math.max(this.#highestPid, pid);
  }

  /**
   * `dropped`: processes whose exec the filter of the kernel dropped. The known ones among them are returned: the new
   * ones are anyway.
   *
   * `wasListed` is false when no process was created since the last scan, or so few that each was checked.
   */
  scan(dropped?: DroppedExecs): { events: ProcessEvent[]; wasListed: boolean } {
    const events = this.#recheckYoung();
    if (dropped !== undefined) {
      for (const pid of dropped.among(this.#known, this.#highestPid))
        events.push({ kind: "exec", pid, atMs: null });
    }
    // Read first: a process that is created during this scan makes the next one read again.
    const cursor = readPidCursor(this.#host);
    if (cursor.forks !== undefined && cursor.forks === this.#cursor.forks)
      return { events, wasListed: false };
    // From the scan before the last one: the kernel allocates a pid a moment before procfs shows it.
    const before = this.#cursorBefore;
    this.#cursorBefore = this.#cursor;
    this.#cursor = cursor;
    if (this.#host.bootNow() - this.#forgottenAtMs >= FORGET_INTERVAL_MS) this.#forgetEnded();
    const span = allocatedBetween(before, cursor, this.#pidMax);
    const wasListed = this.#mustList(span, before, cursor);
    // Most pids are free again, which costs less to find out than to read of a process.
    const isThere = (pid: number) =>
      processExists(this.#host, pid) && ifReadable(() => isProcess(this.#host, pid)) === true;
    const pids = wasListed ? this.#list() : span.pids().filter(isThere);
    const nowTicks = readUptimeTicks(this.#host);
    for (const pid of pids)
      if (this.#isNew(pid, span, nowTicks)) events.push({ kind: "exec", pid, atMs: null });
    return { events, wasListed };
  }

  #mustList(span: PidSpan, before: PidCursor, now: PidCursor): boolean {
    if (this.#host.bootNow() - this.#listedAtMs >= LIST_INTERVAL_MS) return true;
    if (span.size * PIDS_LISTED_PER_CHECK > this.#known.size) return true;
    // More forks than pids in the span: some pids were chosen, or procfs shows a child pid namespace.
    return (now.forks ?? Infinity) - (before.forks ?? 0) > span.size;
  }

  /** Lists all processes and forgets the ones that have ended. */
  #list(): number[] {
    this.#listedAtMs = this.#host.bootNow();
    this.#forgetEnded();
    return listPids(this.#host);
  }

  #forgetEnded(): void {
    this.#forgottenAtMs = this.#host.bootNow();
    for (const pid of this.#known.keys()) {
      if (processExists(this.#host, pid)) continue;
      this.#known.delete(pid);
      this.#young.delete(pid);
    }
  }

  /** Returns whether a process is new. Kernel threads and ended processes never are. */
  #isNew(pid: number, span: PidSpan, nowTicks: number): boolean {
    const knownUntilTicks = this.#known.get(pid);
    if (knownUntilTicks !== undefined && !span.has(pid)) return false;
    this.#know(pid, nowTicks);
    const stat = ifReadable(() => readStat(this.#host, pid));
    if (stat === "gone" || stat.isKernelThread || hasEnded(stat)) return false;
    if (knownUntilTicks !== undefined && stat.startTicks <= knownUntilTicks) return false;
    const appearance = readAppearance(this.#host, pid);
    if (appearance === "gone") return false;
    this.#young.set(pid, { ...appearance, seenAtMs: this.#host.bootNow() });
    return true;
  }

  #recheckYoung(): ProcessEvent[] {
    const events: ProcessEvent[] = [];
    for (const [pid, former] of this.#young) {
      const isOld = this.#host.bootNow() - former.seenAtMs >= this.#recheckWindowMs;
      const appearance = readAppearance(this.#host, pid);
      if (isOld || appearance === "gone") this.#young.delete(pid);
      if (appearance === "gone") continue;
      if (!isOld) this.#young.set(pid, { ...former, ...appearance });
      if (appearance.program !== former.program) events.push({ kind: "exec", pid, atMs: null });
      else if (appearance.comm !== former.comm) events.push({ kind: "comm", pid, atMs: null });
    }
    return events;
  }
}

/**
 * Source: /proc/PID/exe, stat and comm. Not cmdline: reading it waits for the mmap lock of the process, which can keep that
 * lock.
 */
function readAppearance(host: Host, pid: number): Appearance | "gone" {
  return ifReadable(() => {
    const comm = readProcFile(host, `${pid}/comm`);
    const program = readProgram(host, pid);
    if (comm === "gone" || program === "gone") return "gone";
    return { program: `${readLink(host, `${pid}/exe`)}\0${program}`, comm };
  });
}

/** Reads about a process. With hidepid=1 procfs lists processes of other users that may not be read. */
function ifReadable<Value>(read: () => Value): Value | "gone" {
  try {
    return unlessGone(read);
  } catch (error) {
    if (isForbidden(error)) return "gone";
    throw error;
  }
}
