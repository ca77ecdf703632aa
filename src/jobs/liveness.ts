import type { JobRecord } from "../ledger/records.ts";
import { isAlive, type ProcessIdentity } from "../linux/proc/identity.ts";
import type { Context } from "./context.ts";

/** Whether the ffrtmp that waits for a job's end is alive. */
export function isObserved(context: Context, { observer, bootId }: JobRecord): boolean {
  return observer !== null && isAlive(context.host, { bootId, ...observer });
}

/** The job's main process; `undefined` while it has none on record. */
export function identityOf({ bootId, pid, startTicks }: JobRecord): ProcessIdentity | undefined {
  return pid === null || startTicks === null ? undefined : { bootId, pid, startTicks };
}
