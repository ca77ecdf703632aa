import { isAlive, type ProcessIdentity } from "../linux/proc/identity.ts";
import type { Context } from "./context.ts";
import { type Job, observerOf } from "./model/job.ts";

const ACTIVE_DAEMON = "watch";

/** Returns true while the ffrtmp that will record the job's end is alive. */
export function isObserved({ host }: Context, job: Job): boolean {
  const observer = observerOf(job);
  return observer !== null && isAlive(host, observer);
}

/** Records this process as the active daemon of the ledger. */
export function recordActiveDaemon({ ledger, self }: Context): void {
  ledger.setNote(ACTIVE_DAEMON, JSON.stringify(self));
}

/** Returns true while another process is the active daemon: it has a pidfd of every job, and may know how one has ended. */
export function isDaemonRunning({ ledger, host, self }: Context): boolean {
  const daemon: ProcessIdentity | null = JSON.parse(ledger.note(ACTIVE_DAEMON) ?? "null");
  return daemon !== null && daemon.pid !== self.pid && isAlive(host, daemon);
}
