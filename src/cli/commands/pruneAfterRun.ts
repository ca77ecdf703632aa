import { existsSync } from "node:fs";
import type { Context } from "../../jobs/context.ts";
import { abandon, prune } from "../../ledger/prune.ts";
import {
  RUN_PRUNE_INTERVAL_MS,
  recordedRetention,
  recordPass,
  retentionClock,
} from "../../ledger/retention.ts";

/** When the last step begins; it takes a few milliseconds more. */
const BUDGET_MS = 6;

/**
 * Deletes history for a few milliseconds. What is left is for the next `run`: only a pass that finds nothing more to
 * delete is recorded. Leaves out the sizes of logs, which take too long to read.
 */
export function pruneBriefly({ host, ledger, state }: Context): void {
  // Deleted while this process waited, most often with the package: it is not created again.
  if (!existsSync(state.ledger)) return;
  const end = performance.now() + BUDGET_MS;
  const nowMs = host.now();
  const clockMs = retentionClock(ledger, nowMs, RUN_PRUNE_INTERVAL_MS);
  const options = { host, state, retention: recordedRetention(ledger), nowMs: clockMs, countLogs: false };
  const pass = prune(options);
  for (let step = pass.next(); ; step = pass.next()) {
    if (step.done) {
      recordPass(ledger, { atMs: nowMs, clockMs });
      return;
    }
    if (step.value === "busy" || performance.now() > end) break;
  }
  abandon(pass);
}
