import { Refusal } from "../../jobs/errors.ts";
import { isoTime } from "../../jobs/json.ts";
import { describeTrouble, isMediumTrouble } from "../../ledger/database.ts";
import { abandon, compact, type Pruned, type PrunePass, prune } from "../../ledger/prune.ts";
import { type Retention, recordedRetention } from "../../ledger/retention.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoRecords } from "../output/emptyState.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { formatTimeOfDay } from "../output/times.ts";
import { openToChange, requireRecords } from "../session.ts";

/** The pause after each step, in which other processes write. */
const PAUSE_MS = 3;
/** The longest wait for a lock of another process: as long as SQLite waits elsewhere. */
const MAX_BUSY_MS = 5000;

interface PruneFlags extends CommonFlags {
  /** ms. */
  olderThan?: number;
  /** bytes. */
  maxSize?: number;
  dryRun?: boolean;
  compact?: boolean;
}

/** Deletes the history that is older or larger than the flags say, or than the last `watch` keeps. */
export async function pruneHistory(flags: PruneFlags): Promise<number> {
  const context = openToChange(flags);
  requireRecords(context);
  if (context.ledger.isMissing) explainNoRecords(context, "prune");
  const recorded = recordedRetention(context.ledger);
  const { olderThan = recorded.maxAgeMs, maxSize = recorded.maxBytes, dryRun = false } = flags;
  const retention: Retention = { maxAgeMs: olderThan, maxBytes: maxSize };
  const { host, state } = context;
  const isMissing = context.ledger.isMissing;
  const pass = prune({ host, state, retention, nowMs: host.now(), countLogs: true, dryRun });
  const pruned = isMissing
    ? NOTHING
    : await toTheEnd(pass, state.ledger, !dryRun).catch((error) => refuse(state.ledger, error));
  if (flags.compact && !dryRun && !isMissing) {
    try {
      compact(state);
    } catch (error) {
      refuse(state.ledger, error);
    }
    pruned.freeBytes = 0;
  }
  for (const fault of pruned.faults) warn(fault);
  if (flags.json) printJson(prunedJson(pruned, dryRun));
  else printOut(describe(pruned, dryRun));
  context.ledger.close();
  return 0;
}

/** Where there is no ledger. */
const NOTHING: Pruned = {
  jobs: 0,
  newestEndMs: null,
  logs: 0,
  logBytes: 0,
  usedBytes: { before: 0, after: 0 },
  freeBytes: 0,
  faults: [],
};

async function toTheEnd(pass: PrunePass, path: string, mustPause: boolean): Promise<Pruned> {
  let busyMs = 0;
  for (;;) {
    const step = pass.next();
    if (step.done) return step.value;
    busyMs = step.value === "busy" ? busyMs + PAUSE_MS : 0;
    if (busyMs > MAX_BUSY_MS) {
      abandon(pass);
      throw new Refusal(`cannot prune ${path}: another process has locked it`, `fuser ${path}`);
    }
    if (mustPause) await Bun.sleep(PAUSE_MS);
  }
}

/** Throws a Refusal for a file that cannot be written now. */
function refuse(path: string, error: unknown): never {
  if (!isMediumTrouble(error)) throw error;
  const { reason, remedy } = describeTrouble(path, error);
  throw new Refusal(`cannot prune ${path}: ${reason}`, remedy);
}

function describe(
  { jobs, newestEndMs, logs, logBytes, usedBytes, freeBytes }: Pruned,
  dryRun: boolean,
): string {
  const count = jobs === 1 ? "1 job" : `${jobs} jobs`;
  const until = newestEndMs === null ? "" : `, the newest ended by ${formatTimeOfDay(newestEndMs, "local")}`;
  const withLogs =
    logs === 0 ? "" : `, and ${logs === 1 ? "1 log" : `${logs} logs`} (${mebibytes(logBytes)})`;
  const action = dryRun ? "would delete" : "deleted";
  const lines = [
    `${action} ${count}${until}${withLogs}`,
    `ledger: ${mebibytes(usedBytes.before)} in use, ${dryRun ? "about " : ""}${mebibytes(usedBytes.after)} afterwards`,
  ];
  if (freeBytes > 0 && !dryRun)
    lines.push(
      `its file has ${mebibytes(freeBytes)} free for new jobs; to return them: ffrtmp prune --compact`,
    );
  return lines.join("\n");
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function prunedJson(pruned: Pruned, dryRun: boolean): Record<string, unknown> {
  return {
    dry_run: dryRun,
    jobs: pruned.jobs,
    newest_end: isoTime(pruned.newestEndMs),
    logs: pruned.logs,
    log_bytes: pruned.logBytes,
    ledger_bytes_before: pruned.usedBytes.before,
    ledger_bytes_after: pruned.usedBytes.after,
    ledger_bytes_free: pruned.freeBytes,
    faults: pruned.faults,
  };
}
