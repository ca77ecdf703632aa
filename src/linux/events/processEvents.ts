import type { DroppedExecs } from "./execFilter.ts";

/** A source of process events. One contract suite runs against all of them. */
export interface ProcessEvents {
  readonly source: EventSource;

  /**
   * Starts listening. Processes that already run are not reported: start first and scan afterwards, so that
   * none is missed in between. Call it once, on the main thread, where the batches arrive too. Resolves to why
   * the source cannot be used, or to `undefined` once it listens.
   */
  start(onEvents: OnEvents): Promise<string | undefined>;

  /**
   * Reports the end of this process with exactly one `exit` event, with a pidfd at once when it has already ended.
   *
   * The caller keeps the pidfd and closes it after the exit event or after `unwatchExit`, never before. With
   * `null` (Linux before 5.3, too many open files) the process is polled once a second, unless the connector
   * reports its exit before, and the event follows its end by up to 2.1 s. Watching the same process again replaces
   * the first watch.
   */
  watchExit(process: WatchedProcess, pidfd: number | null): void;

  /** Ends the watch: no exit event follows. Does nothing for a process that is not watched. */
  unwatchExit(process: WatchedProcess): void;

  /**
   * Names the processes that concern the caller. Others may be reported too, execs up to a second later. Scan after the call,
   * because an event before it may have been dropped.
   */
  setNames(names: WantedNames): void;

  /**
   * Returns the processes that executed a program under a name that is not wanted, since the last call. `undefined`: none, or
   * this source reports all. They may match by another name than the kernel's, so consider those of them that run still.
   */
  takeDroppedExecs(): DroppedExecs | undefined;

  /** Returns why the kernel reports all execs, whatever their names; `null` while it does not. */
  unfilteredBecause(): string | null;

  counters(): EventCounters;

  /** Stops listening. No event arrives after the call, even while the promise is pending. */
  stop(): Promise<void>;
}

/** Names of which the kernel keeps the first 15 bytes. `undefined`: all, as before the first call. */
export interface WantedNames {
  /** Names that a process takes by renaming itself. */
  renamed: readonly string[] | undefined;
  /** Names of executed files and scripts. */
  executed: readonly string[] | undefined;
}

/** Receives events in their order. */
export type OnEvents = (batch: ProcessEvent[]) => void;

/**
 * All report the exits of watched processes. Execs and renamings are reported by the connector at once, but for execs
 * under other names than those of `setNames`, and by polling after a scan, which misses a process that lives shorter than
 * the scan interval.
 */
export type EventSource = "connector" | "pidfd" | "polling";

export type ProcessEvent =
  /**
   * `exec`: the process executed a program. From polling: it is new, or its program changed between two scans.
   * `comm`: its first thread has a new name. `atMs` is the wall clock, ms since the epoch with a fraction;
   * `null` when found by a scan.
   */
  | { kind: "exec" | "comm"; pid: number; atMs: number | null }
  /** A watched process has ended and its status is not known yet: `exit` follows. */
  | ({ kind: "over" } & WatchedProcess)
  | ({ kind: "exit" } & WatchedProcess & ExitFacts)
  /**
   * Events were dropped, and every event that was kept has been read: a scan that starts on receipt finds
   * what the dropped ones would have reported. Exits of watched processes are still reported.
   */
  | { kind: "lost"; reason: string }
  /** The source has failed and reports nothing more, exits included. */
  | { kind: "failed"; reason: string };

/** Identifies a process of this boot. `startTicks` are clock ticks since boot, /proc/PID/stat field 22. */
export interface WatchedProcess {
  pid: number;
  startTicks: number;
}

/** Where a wait status was read: PIDFD_GET_INFO, an event of the connector, /proc/PID/stat of a zombie. */
export type ExitEvidence = "pidfd" | "proc-event" | "proc-stat";

/** `waitStatus` is as in wait(2): see `decodeWaitStatus`. */
export type ExitFacts =
  | { waitStatus: number; evidence: ExitEvidence }
  | { waitStatus: null; evidence: null; reason: string };

/** Counts since `start`. */
export interface EventCounters {
  /** Events that the kernel reported or a scan found. */
  received: number;
  /** The number of times that the kernel reported dropped events. */
  overruns: number;
  /** Dropped events. `null` where the kernel does not count them. */
  dropped: number | null;
  /** Dropped renamings, which are counted apart: a single process can cause millions. */
  droppedRenames: number | null;
  /** Execs under other names than those of `setNames`, which the kernel did not report. `null`: it reports all. */
  filteredExecs: number | null;
  /** Messages that could not be decoded or did not come from the kernel. They are ignored. */
  malformed: number;
  scans: number;
  /** Scans that did not list all processes, because none was created since the last one or only a few. */
  scansSkipped: number;
}

export function zeroCounters(): EventCounters {
  return {
    received: 0,
    overruns: 0,
    dropped: 0,
    droppedRenames: 0,
    filteredExecs: null,
    malformed: 0,
    scans: 0,
    scansSkipped: 0,
  };
}
