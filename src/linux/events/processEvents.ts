/**
 * What happens to processes, told as it happens or as soon as it can be found out.
 *
 * Three sources implement it: the kernel's process connector, pidfds, and polling of procfs. `tells`
 * says what each can know; one contract suite runs against all of them.
 */
export interface ProcessEvents {
  readonly source: EventSource;
  readonly reports: EventReports;

  /**
   * Begins to listen. Processes that are already there are not told of: start first and scan afterwards,
   * so that none is missed in between. To be called once, on the main thread.
   *
   * Batches arrive on the main thread, each in the order in which things happened.
   */
  start(onEvents: (batch: ProcessEvent[]) => void): Promise<StartOutcome>;

  /**
   * Tells of the end of this process with exactly one `exit` event, immediately when it has ended already.
   *
   * `pidfd` stays the caller's: close it after the exit event or after `unwatchExit`, never before. With
   * `null` (Linux before 5.3, too many open files) the end is found by looking once a second, unless
   * the connector tells it. Watching the same process again replaces the first watch.
   */
  watchExit(process: WatchedProcess, pidfd: number | null): void;

  /** After this no exit event comes for the process. Does nothing for one that is not watched. */
  unwatchExit(process: WatchedProcess): void;

  counters(): EventCounters;

  /** Ends the listening. No event comes after the call, whatever the promise still waits for. */
  stop(): Promise<void>;
}

export type EventSource = "connector" | "pidfd" | "polling";

export interface EventReports {
  /** "at once", "by scan" (a process that lives shorter than the interval is missed), or "never". */
  exec: "at once" | "by scan" | "never";
  comm: "at once" | "by scan" | "never";
  /** Ends of watched processes are told by every source; this says when. */
  exit: "at once" | "by scan";
}

export type ProcessEvent =
  | {
      /** The process runs a program that it did not run before. From polling: it is new, or was seen to have changed. */
      kind: "exec";
      pid: number;
      /** When: wall clock, ms since the epoch with a fraction. `null` when found by a scan. */
      atMs: number | null;
    }
  | {
      /** The process gave itself (its first thread) a new name. */
      kind: "comm";
      pid: number;
      atMs: number | null;
    }
  | ({
      /** A watched process is over, and how it ended is not known yet: `exit` follows. */
      kind: "over";
    } & WatchedProcess)
  | ({ kind: "exit" } & WatchedProcess & ExitFacts)
  | {
      /**
       * Events were dropped, and now everything has been read: a scan that begins on receipt finds what they
       * would have told. Exits of watched processes are still told.
       */
      kind: "lost";
      reason: string;
    }
  | {
      /** The source has broken and tells nothing more, exits included. */
      kind: "failed";
      reason: string;
    };

/** Pid and start time (clock ticks since boot, /proc/PID/stat field 22): together they name one process of this boot. */
export interface WatchedProcess {
  pid: number;
  startTicks: number;
}

/**
 * Where a wait status was read: PIDFD_GET_INFO (`pidfd`), the connector's exit event (`proc-event`), or
 * field 52 of /proc/PID/stat of an ended process that its parent had not collected (`proc-stat`).
 */
export type ExitEvidence = "pidfd" | "proc-event" | "proc-stat";

/** `waitStatus` is as in wait(2): see `decodeWaitStatus`. */
export type ExitFacts =
  | { waitStatus: number; evidence: ExitEvidence }
  | { waitStatus: null; evidence: null; reason: string };

export type StartOutcome = { outcome: "started" } | { outcome: "unsupported"; reason: string };

/** All since `start`. */
export interface EventCounters {
  /** Events that the kernel told or a scan found. */
  received: number;
  /** How often the kernel said that it had dropped events. */
  overruns: number;
  /** How many it dropped. `null` where the kernel does not count them. */
  dropped: number | null;
  /** Messages that made no sense, or were not the kernel's; they are ignored. */
  malformed: number;
  /** Scans of all processes. */
  scans: number;
  /** Scans spared because no process was created in the meantime. */
  scansSkipped: number;
}

export function zeroCounters(): EventCounters {
  return { received: 0, overruns: 0, dropped: 0, malformed: 0, scans: 0, scansSkipped: 0 };
}
