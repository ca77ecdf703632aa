import type { RunningJob } from "../jobs/model/job.ts";
import type { HindranceChange } from "../metrics/hindrance/hinderedTotals.ts";
import { type Hindrance, limitText } from "../metrics/hindrance/hindrance.ts";
import { hindranceText } from "../metrics/hindrance/hindranceText.ts";
import type { DaemonContext } from "./daemonContext.ts";

/** Reports to subscribers of the daemon, and to the ledger, that a cause begins or ceases to hold a job back. */
export function reportHindrance(
  { ledger, host, bus }: Pick<DaemonContext, "ledger" | "host" | "bus">,
  job: RunningJob,
  { began, ended }: HindranceChange,
): void {
  const times = { atMs: host.now(), atBootMs: host.bootNow() };
  if (ended !== undefined) {
    const detail = { verdict: ended.verdict, seconds: secondsOf(ended.forMs) };
    ledger.addEvent(job, { ...times, kind: "held_back_ended", detail });
    bus.emit({ kind: "job-no-longer-held-back", job, hindrance: ended });
  }
  if (began !== undefined) {
    ledger.addEvent(job, { ...times, kind: "held_back", detail: hindranceFacts(began) });
    bus.emit({ kind: "job-held-back", job, hindrance: began });
  }
}

/** Returns the detail of the event in the ledger. */
export function hindranceFacts(hindrance: Hindrance) {
  const { verdict, isLive, forMs, neededCores, limit } = hindrance;
  return {
    verdict,
    live: isLive,
    seconds: secondsOf(forMs),
    needed_cores: neededCores === null ? null : Math.round(100 * neededCores) / 100,
    limit: limitText(limit),
    text: hindranceText(hindrance),
  };
}

function secondsOf(ms: number): number {
  return Math.round(ms / 100) / 10;
}
