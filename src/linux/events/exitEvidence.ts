import type { PidfdExit } from "../../sys/pidfd.ts";
import type { ExitFacts } from "./processEvents.ts";
import type { ReportedExit } from "./recentExits.ts";

const NO_RECORD = {
  none: "the process has no pidfd",
  unsupported: "pidfds of this kernel keep no exit record (Linux 6.15 does)",
  unknown: "the pidfd has no exit record",
  running: "its parent has not reaped it",
};

/** Everything that was observed about the end of a process. */
export interface ExitObservations {
  /** The answer of PIDFD_GET_INFO; `"none"` when there is no pidfd. */
  record: PidfdExit | "running" | "unsupported" | "unknown" | "none";
  /** Status in procfs while the process was a zombie; `null` when it was not seen as one. */
  zombieStatus: number | null;
  reported: ReportedExit;
  /** Events of the connector may have been lost. */
  eventsLost: boolean;
}

/**
 * Returns the status with the best evidence, or `"wait"` while better evidence may still arrive. The record
 * behind the pidfd is the best: the kernel writes it when the parent reaps the process, which `waitIsOver` does
 * not wait for any longer. The event of the connector ranks last: its status is that of the process only if no
 * other thread ended with another one.
 */
export function selectEvidence(
  { record, zombieStatus, reported, eventsLost }: ExitObservations,
  waitIsOver: boolean,
): ExitFacts | "wait" {
  if (typeof record === "object") return { waitStatus: record.status, evidence: "pidfd" };
  if (!waitIsOver) return "wait";
  if (zombieStatus !== null) return { waitStatus: zombieStatus, evidence: "proc-stat" };
  if (typeof reported === "number") return { waitStatus: reported, evidence: "proc-event" };
  const noEvent = eventsLost ? "the kernel dropped its exit event" : "no exit event arrived";
  const noStatus = reported === "conflicting" ? "its threads ended with different statuses" : noEvent;
  return { waitStatus: null, evidence: null, reason: `${NO_RECORD[record]}, and ${noStatus}` };
}
