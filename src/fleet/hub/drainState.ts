import { FLEET_JOB_LABEL } from "../messages/job.ts";
import type { NodeMessage } from "../messages/node.ts";

/** How far a cordoned node is. `text` and `others` are for the operator. */
export interface DrainState {
  /** The fleet has no job there, neither one that runs nor one that is claimed and can still start. */
  readonly isDrained: boolean;
  readonly text: string;
  /** The jobs that run there for other reasons, as the end of a sentence. */
  readonly others: string;
}

/** `serial`: that of the document with the cordon. `report`: the last one of the node; `undefined`: it has not reported. */
export function drainState(report: NodeMessage | undefined, serial: number): DrainState {
  const notYet = (text: string): DrainState => ({ isDrained: false, text, others: "" });
  if (report === undefined) return notYet("it has not reported yet");
  if ((report.desired ?? 0) < serial || !report.cordoned) return notYet("it does not know of the cordon yet");
  if (report.fault !== null) return notYet(`it reports: ${report.fault}`);
  const claimed = claimedOf(report);
  if (typeof claimed === "string") return notYet(claimed);
  const ofFleet = report.jobs.filter(({ labels }) => labels[FLEET_JOB_LABEL] !== undefined).length;
  const count = report.jobs.length - ofFleet;
  const others = count === 0 ? "" : `; ${count} other ${count === 1 ? "job runs" : "jobs run"} on`;
  // The runner starts what is claimed, also on a cordoned node.
  const waiting = Math.max(0, claimed - ofFleet);
  const starting = waiting === 0 ? "" : `, and ${waiting} claimed`;
  // A report has room for 200 jobs, and the rest can be of any kind.
  const more = report.more === 0 ? "" : `, and ${report.more} that it did not list`;
  return {
    isDrained: ofFleet === 0 && claimed === 0 && report.more === 0,
    text: `${ofFleet} ${ofFleet === 1 ? "job of the fleet runs" : "jobs of the fleet run"} there${starting}${more}${others}`,
    others,
  };
}

/** Returns how many attempts it has claimed that have not ended, or why that is not known. */
function claimedOf({ capacity, dispatch, claims }: NodeMessage): number | string {
  // It is of a release that takes no jobs.
  if (dispatch === undefined) return 0;
  if (dispatch.state === "off") {
    // An agent that was just started says so, too.
    const isRead = claims !== undefined && (claims.known === 0 || claims.confirmed !== null);
    return isRead ? 0 : "its agent has not read yet what it has claimed";
  }
  if (capacity === null || capacity === undefined)
    return `it cannot say what it has claimed: ${dispatch.why ?? "its agent gives no reason"}`;
  // What claims is told of the cordon for itself, and can have claimed a job since the report was begun.
  return dispatch.state === "cordoned" ? capacity.claimed : "it does not know of the cordon yet";
}
