import type { PidfdExit } from "../../sys/pidfd.ts";
import type { ExitFacts } from "./processEvents.ts";
import type { ReportedExit } from "./recentExits.ts";

/** Everything that was observed about the end of a process. */
export interface ExitObservations {
  /** The answer of PIDFD_GET_INFO; `"none"` when there is no pidfd. */
  record: PidfdExit | "running" | "unsupported" | "unknown" | "none";
  /** Status in procfs while the process was a zombie; `null` when it was not seen as one. */
  zombieStatus: number | null;
  /** The exit that the connector reported. */
  reported: ReportedExit;
  /** Events of the connector may have been lost. */
  eventsLost: boolean;
}

/**
 * Returns the status with the best evidence, or `"wait"` while better evidence may still arrive.
 *
 * The exit record behind the pidfd is the best: the kernel writes it when the parent reaps the process,
 * usually at once. `waitIsOver` bounds the wait, for a parent that never reaps. The event of the connector
 * ranks last: it carries the status of the first thread, which is that of the process only if no other thread
 * ended with another one.
 */
export function selectEvidence(observations: ExitObservations, waitIsOver: boolean): ExitFacts | "wait" {
  const { record, zombieStatus, reported } = observations;
  if (typeof record === "object") return { waitStatus: record.status, evidence: "pidfd" };
  if (!waitIsOver) return "wait";
  if (zombieStatus !== null) return { waitStatus: zombieStatus, evidence: "proc-stat" };
  if (typeof reported === "number") return { waitStatus: reported, evidence: "proc-event" };
  return { waitStatus: null, evidence: null, reason: describeUnknown(observations) };
}

function describeUnknown({ record, reported, eventsLost }: ExitObservations): string {
  const reasons: string[] = [];
  if (record === "none") reasons.push("the process has no pidfd");
  if (record === "unsupported") reasons.push("pidfds of this kernel keep no exit record (Linux 6.15 does)");
  if (record === "unknown") reasons.push("the pidfd has no exit record");
  if (record === "running") reasons.push("its parent has not reaped it");
  if (reported === "conflicting") reasons.push("its threads ended with different statuses");
  else if (eventsLost) reasons.push("the kernel dropped its exit event");
  else reasons.push("no exit event arrived");
  return reasons.join(", and ");
}
