import { lockStateFile } from "../ledger/stateLock.ts";
import { isIntent } from "../limits/intents.ts";
import { isGate } from "../linux/change.ts";
import { closeFd } from "../sys/descriptor.ts";
import type { Context } from "./context.ts";
import type { Job } from "./model/job.ts";

/** A process has the lock for some reads and writes. */
const MAX_WAIT_MS = 100;

/**
 * Runs an action while no other ffrtmp with this state directory writes, restores or records the weights of gates, see
 * limits/gates.ts, or the quotas of the governor. Returns `"busy"`, having done nothing, where another one does. Where there
 * can be no lock, as in a directory that cannot be written, the action runs without it.
 */
export function withGateLock<T>({ state }: Pick<Context, "state">, action: () => T): T | "busy" {
  const lock = lockStateFile(state.gateLock);
  return lock === "locked" ? "busy" : runWith(lock, action);
}

/**
 * Runs what undoes or changes the limits of a job that can have gates or a governed quota in the same lock, and after a short
 * wait without it: what must be undone is undone, also while the process that has the lock is stopped.
 */
export function undoInGateLock<T>(
  { state }: Pick<Context, "state">,
  { intent, changes }: Pick<Job, "intent" | "changes">,
  action: () => T,
): T {
  if (!isIntent(intent) && !changes.some(isGate)) return action();
  let lock = lockStateFile(state.gateLock);
  for (let delayMs = 1; lock === "locked" && delayMs < MAX_WAIT_MS; delayMs *= 2) {
    Bun.sleepSync(delayMs);
    lock = lockStateFile(state.gateLock);
  }
  return runWith(lock, action);
}

function runWith<T>(lock: ReturnType<typeof lockStateFile>, action: () => T): T {
  try {
    return action();
  } finally {
    if (typeof lock === "number") closeFd(lock);
  }
}
