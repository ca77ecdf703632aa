import type { Ledger } from "./ledger.ts";

type Notes = Pick<Ledger, "note" | "setNote">;

/** The limits on the history. `Infinity`: no limit. */
export interface Retention {
  /** Jobs that ended longer ago are deleted. */
  maxAgeMs: number;
  /** The oldest jobs are deleted while the ledger and the logs of `run --detach` take more. */
  maxBytes: number;
}

const DAY_MS = 86_400_000;

export const DEFAULT_RETENTION: Retention = { maxAgeMs: 90 * DAY_MS, maxBytes: 1024 ** 3 };

/** The interval of the pruning by `run`, where no daemon prunes. */
export const RUN_PRUNE_INTERVAL_MS = DAY_MS;

/**
 * How much faster than the intervals of pruning the clock of retention advances. A clock that is wrong for an hour would
 * otherwise delete the whole history; after a long time without power, retention catches up.
 */
const MAX_CATCH_UP = 10;

const RETENTION = "retention";
const PASS = "retention_pass";

/** The last pass of automatic pruning: of a daemon its start, of `run` its end. */
interface Pass {
  atMs: number;
  /** The time by which it computed ages. */
  clockMs: number;
}

/** Records the retention that the policy of a daemon asks for, which `run` and `prune` use too. */
export function recordRetention(ledger: Notes, { maxAgeMs, maxBytes }: Retention): void {
  // JSON has no Infinity.
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  ledger.setNote(RETENTION, JSON.stringify({ maxAgeMs: finite(maxAgeMs), maxBytes: finite(maxBytes) }));
}

/** Returns the retention that the last daemon recorded, or the default. */
export function recordedRetention(ledger: Notes): Retention {
  const note = ledger.note(RETENTION);
  if (note === undefined) return DEFAULT_RETENTION;
  const { maxAgeMs, maxBytes } = JSON.parse(note);
  return {
    maxAgeMs: maxAgeMs ?? Number.POSITIVE_INFINITY,
    maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
  };
}

/** Returns true if there was no pass of automatic pruning in the interval before `nowMs`. */
export function isPruningDue(ledger: Notes, nowMs: number): boolean {
  const pass = lastPass(ledger);
  return pass === undefined || Math.abs(nowMs - pass.atMs) >= RUN_PRUNE_INTERVAL_MS;
}

/** Returns the time by which an automatic pruning computes ages: the present, unless the clock has jumped ahead. */
export function retentionClock(ledger: Notes, nowMs: number, intervalMs: number): number {
  const pass = lastPass(ledger);
  return pass === undefined ? nowMs : Math.min(nowMs, pass.clockMs + MAX_CATCH_UP * intervalMs);
}

export function recordPass(ledger: Notes, pass: Pass): void {
  ledger.setNote(PASS, JSON.stringify(pass));
}

function lastPass(ledger: Notes): Pass | undefined {
  const note = ledger.note(PASS);
  return note === undefined ? undefined : (JSON.parse(note) as Pass);
}
