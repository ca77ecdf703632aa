import type { PidfdExit } from "../../sys/pidfd.ts";
import type { ExitFacts } from "./processEvents.ts";
import type { ReportedExit } from "./recentExits.ts";

/** All that is known of how a process that is over has ended. */
export interface ExitObservations {
  /** What PIDFD_GET_INFO answers; `"none"` when there is no pidfd. */
  record: PidfdExit | "running" | "unsupported" | "unknown" | "none";
  /** Status in procfs while it was a zombie; `null` when it was not seen there. */
  zombieStatus: number | null;
  /** What the connector told: nothing (yet), its first thread's status, or statuses that do not agree. */
  told: ReportedExit;
  /** Something that the connector would have told may have been lost. */
  eventsLost: boolean;
}

/**
 * The status with the best evidence there is, or `"wait"` while better evidence may still come.
 *
 * The record behind the pidfd is the kernel's own, so it ends the waiting; it appears when the parent
 * collects the process, usually at once. A parent that never does must not keep the end a secret, hence
 * the bound (`waitIsOver`). The connector's event comes last of the three: it is the first thread's
 * status, and only the silence of the other threads makes it the process's.
 */
export function selectEvidence(traces: ExitObservations, waitIsOver: boolean): ExitFacts | "wait" {
  const { record, zombieStatus, told } = traces;
  if (typeof record === "object") return { waitStatus: record.status, evidence: "pidfd" };
  if (!waitIsOver) return "wait";
  if (zombieStatus !== null) return { waitStatus: zombieStatus, evidence: "proc-stat" };
  if (typeof told === "number") return { waitStatus: told, evidence: "proc-event" };
  return { waitStatus: null, evidence: null, reason: explain(traces) };
}

function explain({ record, told, eventsLost }: ExitObservations): string {
  const reasons: string[] = [];
  if (record === "none") reasons.push("there was no pidfd to ask");
  if (record === "unsupported") reasons.push("pidfds of this kernel keep no exit record (Linux 6.15 does)");
  if (record === "unknown") reasons.push("the pidfd has no exit record");
  if (record === "running") reasons.push("its parent has not collected it");
  if (told === "disputed") reasons.push("its threads ended with different statuses");
  else if (eventsLost) reasons.push("the kernel dropped the event that told it");
  else reasons.push("no event told it");
  return reasons.join(", and ");
}
