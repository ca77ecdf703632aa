import { describe, expect, it } from "bun:test";
import { useLedgers } from "../../test/support/ledgers.ts";
import {
  DEFAULT_RETENTION,
  isPruningDue,
  RUN_PRUNE_INTERVAL_MS,
  recordedRetention,
  recordPass,
  recordRetention,
  retentionClock,
} from "./retention.ts";

const { open } = useLedgers();
const NOW = 1_800_000_000_000;
const HOUR_MS = 3_600_000;

describe("the retention of a ledger", () => {
  it("is the default until a daemon records another", () => {
    const { ledger } = open();
    expect(recordedRetention(ledger)).toEqual(DEFAULT_RETENTION);
    for (const retention of [
      { maxAgeMs: 5, maxBytes: 7 },
      { maxAgeMs: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY },
    ]) {
      recordRetention(ledger, retention);
      expect(recordedRetention(ledger)).toEqual(retention);
    }
  });
});

describe("automatic pruning", () => {
  it("is due once a day, and after a clock that was ahead is set back", () => {
    const { ledger } = open();
    expect(isPruningDue(ledger, NOW)).toBe(true);
    recordPass(ledger, { atMs: NOW, clockMs: NOW });
    expect(isPruningDue(ledger, NOW + RUN_PRUNE_INTERVAL_MS - 1)).toBe(false);
    expect(isPruningDue(ledger, NOW - 1)).toBe(false);
    expect(isPruningDue(ledger, NOW + RUN_PRUNE_INTERVAL_MS)).toBe(true);
    expect(isPruningDue(ledger, NOW - RUN_PRUNE_INTERVAL_MS)).toBe(true);
  });

  it("computes ages by the present, and by little more than before when the clock has jumped ahead", () => {
    const { ledger } = open();
    expect(retentionClock(ledger, NOW, HOUR_MS)).toBe(NOW);
    recordPass(ledger, { atMs: NOW, clockMs: NOW });
    expect(retentionClock(ledger, NOW + HOUR_MS, HOUR_MS)).toBe(NOW + HOUR_MS);
    expect(retentionClock(ledger, NOW + 1e12, HOUR_MS)).toBe(NOW + 10 * HOUR_MS);
    recordPass(ledger, { atMs: NOW + 1e12, clockMs: NOW + 10 * HOUR_MS });
    expect(retentionClock(ledger, NOW, HOUR_MS)).toBe(NOW);
  });
});
