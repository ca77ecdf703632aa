import { isAlive, type ProcessIdentity } from "../../linux/proc/identity.ts";
import type { Context } from "../context.ts";

const WATCH = "watch";

/** Says in the ledger that this process stands by for every job in it. */
export function recordActiveDaemon({ ledger, self }: Context): void {
  ledger.setNote(WATCH, JSON.stringify(self));
}

/** Whether a `watch` that is not us lives: it holds the processes of all jobs, and may know how one has ended. */
export function isDaemonRunning({ ledger, host, self }: Context): boolean {
  const note = ledger.note(WATCH);
  if (note === undefined) return false;
  const watch = JSON.parse(note) as ProcessIdentity;
  return watch.pid !== self.pid && isAlive(host, watch);
}
