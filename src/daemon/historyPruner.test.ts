import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { dirname } from "node:path";
import { someJob, someProcess, someResult } from "../../test/support/jobs.ts";
import { type Opened, useLedgers } from "../../test/support/ledgers.ts";
import { toEnded } from "../jobs/model/job.ts";
import { locateState } from "../ledger/location.ts";
import { recordedRetention } from "../ledger/retention.ts";
import { realHost } from "../linux/host.ts";
import { type Policy, policyFromFlags } from "../policy/policy.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { DaemonScheduling } from "./daemonScheduling.ts";
import { DaemonEvents } from "./events.ts";
import { HistoryPruner } from "./historyPruner.ts";

const { open } = useLedgers();
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function recordEnded({ ledger }: Opened, jobId: string, ageDays: number): void {
  const job = someJob({ jobId, process: someProcess({ pid: ageDays + 1 }) });
  ledger.register(job);
  ledger.recordResult(job, someResult(job, { endMs: Date.now() - ageDays * DAY_MS }));
  ledger.markCleanedUp(toEnded(job));
}

function play(opened: Opened, retention: Policy["retention"], options: Partial<Policy["retention"]> = {}) {
  const { ledger, path } = opened;
  const bus = new DaemonEvents();
  const events: string[] = [];
  bus.subscribe((event) => {
    if (event.kind === "history-pruned") events.push(`pruned ${event.pruned.jobs}`);
    if (event.kind === "history-prune-failed") events.push("failed");
  });
  const store = { policy: { ...policyFromFlags(["ffmpeg"], {}), retention } };
  const context = {
    host: realHost(),
    ledger,
    state: locateState(dirname(path), {}),
    bus,
    store,
    options: { retention: options },
    scheduling: new DaemonScheduling("unchanged"),
  } as unknown as DaemonContext;
  const pruner = new HistoryPruner(context);
  const keptIds = () => ledger.history(10).map(({ job }) => job.jobId);
  return { pruner, store, events, keptIds };
}

test("old history is deleted soon after the start, and every hour", () => {
  const opened = open();
  recordEnded(opened, "old", 3);
  recordEnded(opened, "new", 1);
  const { pruner, events, keptIds } = play(opened, { maxAgeMs: 2 * DAY_MS, maxBytes: undefined });
  expect(keptIds()).toEqual(["new", "old"]);
  jest.advanceTimersByTime(10_000);
  expect(keptIds()).toEqual(["new"]);
  expect(events).toEqual(["pruned 1"]);
  recordEnded(opened, "older", 4);
  jest.advanceTimersByTime(HOUR_MS);
  expect(keptIds()).toEqual(["new"]);
  expect(events).toEqual(["pruned 1", "pruned 1"]);
  pruner.stop();
  recordEnded(opened, "oldest", 5);
  jest.advanceTimersByTime(2 * HOUR_MS);
  expect(keptIds()).toEqual(["new", "oldest"]);
});

test("options override the policy, and both are recorded for run and prune", () => {
  const opened = open();
  const policy = { maxAgeMs: 5 * DAY_MS, maxBytes: 50 };
  const { pruner, store } = play(opened, policy, { maxAgeMs: DAY_MS });
  expect(recordedRetention(opened.ledger)).toEqual({ maxAgeMs: DAY_MS, maxBytes: 50 });
  store.policy = { ...store.policy, retention: { ...policy, maxBytes: 60 } };
  pruner.recordRetention();
  expect(recordedRetention(opened.ledger)).toEqual({ maxAgeMs: DAY_MS, maxBytes: 60 });
  pruner.stop();
});

test("a failure is reported and does not end the pruning of later hours", () => {
  const opened = open();
  recordEnded(opened, "old", 3);
  const { pruner, events, keptIds } = play(opened, { maxAgeMs: DAY_MS, maxBytes: undefined });
  opened.ledger.setNote("retention_pass", "no JSON");
  jest.advanceTimersByTime(10_000);
  expect(events).toEqual(["failed"]);
  expect(keptIds()).toEqual(["old"]);
  opened.ledger.setNote("retention_pass", JSON.stringify({ atMs: Date.now(), clockMs: Date.now() }));
  jest.advanceTimersByTime(HOUR_MS + 10_000);
  expect(events).toEqual(["failed", "pruned 1"]);
  pruner.stop();
});
