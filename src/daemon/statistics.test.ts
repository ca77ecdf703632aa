import { expect, test } from "bun:test";
import { type EventCounters, type ProcessEvents, zeroCounters } from "../linux/events/processEvents.ts";
import { policyFromFlags } from "../policy/policy.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { DaemonEvents } from "./events.ts";
import { DaemonStatistics } from "./statistics.ts";

function play() {
  let now = 1_000_000;
  let setMs = 0;
  // biome-ignore lint/suspicious/noExplicitAny: the stored JSON
  const notes: any[] = [];
  const context = {
    host: { now: () => now + setMs, bootNow: () => now },
    ledger: { setNote: (_name: string, value: string) => notes.push(JSON.parse(value)) },
    bootId: "b",
    self: { pid: 812, startTicks: 7 },
    store: { policy: policyFromFlags(["ffmpeg"], {}), path: undefined, loadedMs: 5, faults: [] },
    options: { scanIntervalMs: 5000 },
    postponed: { count: 0 },
    bus: new DaemonEvents(),
    slowReader: { counts: { late: 0, skipped: 0 } },
  } as unknown as DaemonContext;
  const source = (counters: EventCounters, name = "connector"): ProcessEvents =>
    ({
      source: name,
      counters: () => ({ ...counters }),
      unfilteredBecause: () => null,
    }) as unknown as ProcessEvents;
  const pass = (ms: number): void => {
    now += ms;
  };
  const setWallClock = (byMs: number): void => {
    setMs += byMs;
  };
  return { context, source, notes, pass, setWallClock };
}

test("processes that are not governed, and tenants that are refused, are counted", () => {
  const { context, source } = play();
  const statistics = new DaemonStatistics(context, source(zeroCounters()));
  context.bus.emit({ kind: "not-governed", pid: 7, target: "ffmpeg", reason: "x" });
  context.bus.emit({ kind: "tenant-refused", pid: 7, comm: "ffmpeg", reason: "x" });
  context.bus.emit({ kind: "tenant-refused", pid: 8, comm: "ffmpeg", reason: "x" });
  expect(statistics.counts()).toMatchObject({ notGoverned: 1, tenantsRefused: 2 });
});

test("a loss is written at once, other counts once a minute", () => {
  const { context, source, notes, pass } = play();
  const counters = zeroCounters();
  const statistics = new DaemonStatistics(context, source(counters));
  statistics.writeIfDue();
  expect(notes).toHaveLength(1);
  counters.received = 500;
  pass(5000);
  statistics.writeIfDue();
  expect(notes).toHaveLength(1);
  counters.dropped = 3;
  statistics.rescans++;
  statistics.writeIfDue();
  expect(notes).toHaveLength(2);
  expect(notes[1]?.counts).toMatchObject({ received: 500, dropped: 3, rescans: 1, foundByLooking: 0 });
  counters.received = 900;
  pass(60_000);
  statistics.writeIfDue();
  expect(notes[2]).toMatchObject({ counts: { received: 900 }, sinceMs: 1_000_000, atMs: 1_065_000 });
});

test("the counts are written after a minute also when the wall clock is set back by hours", () => {
  const { context, source, notes, pass, setWallClock } = play();
  const statistics = new DaemonStatistics(context, source(zeroCounters()));
  statistics.write();
  setWallClock(-7_200_000);
  pass(60_000);
  statistics.writeIfDue();
  expect(notes[1]).toMatchObject({ atMs: 1_060_000 - 7_200_000, atBootMs: 1_060_000 });
});

test("the counts of an event source that failed are kept, and counted once", () => {
  const { context, source } = play();
  const statistics = new DaemonStatistics(context, source({ ...zeroCounters(), received: 10, dropped: 2 }));
  statistics.closeSource();
  expect(statistics.counts()).toMatchObject({ received: 10, dropped: 2 });
  statistics.switchTo(source({ ...zeroCounters(), received: 5 }, "polling"));
  expect(statistics.counts()).toMatchObject({ received: 15, dropped: 2 });
});

test("a count that one source does not have is unknown in the sum", () => {
  const { context, source } = play();
  const statistics = new DaemonStatistics(context, source({ ...zeroCounters(), dropped: null }));
  statistics.closeSource();
  statistics.switchTo(source({ ...zeroCounters(), dropped: 4 }));
  expect(statistics.counts().dropped).toBeNull();
});

test("a daemon that stops writes when, and which event source it had last", () => {
  const { context, source, notes } = play();
  const statistics = new DaemonStatistics(context, source(zeroCounters()));
  statistics.closeSource();
  statistics.switchTo(source(zeroCounters(), "polling"));
  statistics.write(2_000_000);
  expect(notes).toMatchObject([{ stoppedMs: 2_000_000, source: "polling", watch: { pid: 812 } }]);
});
