import { describe, expect, it } from "bun:test";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { Context } from "../context.ts";
import { resultJson } from "../json.ts";
import { endingOfStatus } from "../model/ending.ts";
import type { RunningJob } from "../model/job.ts";
import { recordUnobservedExit, repairJob } from "../recovery/recover.ts";
import { summaryLine } from "../summary.ts";
import { recordExit } from "./recordExit.ts";

const { openOwner } = useGovernedFakes();

const HOURS_MS = 3_600_000;
/** The fakes start their processes 100 ticks after the boot, which is 1 s. */
const PROCESS_START_MS = 1000;
const NOON_MS = Date.UTC(2026, 0, 1, 12);

interface Clock {
  wallMs: number;
  bootMs: number;
  /** Lets time pass. */
  pass(ms: number): void;
}

/** Returns a running job that was governed 5 s after the boot, with a clock that the test sets. */
function governed(): { context: Context; job: RunningJob; clock: Clock; end(): void } {
  const machine = openOwner();
  const clock = {
    wallMs: NOON_MS,
    bootMs: 5000,
    pass(ms: number) {
      this.wallMs += ms;
      this.bootMs += ms;
    },
  };
  machine.context.host.now = () => clock.wallMs;
  machine.context.host.bootNow = () => clock.bootMs;
  machine.start(4026, 1);
  const job = machine.govern(4026, {});
  return { context: machine.context, job, clock, end: () => machine.reuse(4026) };
}

describe("the result of a job", () => {
  it("has exact durations when the wall clock is set back meanwhile", () => {
    const { context, job, clock } = governed();
    clock.pass(2000);
    clock.wallMs -= 2 * HOURS_MS;
    const { result } = recordExit(context, job, endingOfStatus(0, "pidfd"));
    expect(summaryLine(job, result)).toContain("| runtime=6.0s |");
    expect(resultJson(job, result)).toMatchObject({
      processing_seconds: 2,
      runtime_seconds: (5000 + 2000 - PROCESS_START_MS) / 1000,
      runtime_at_most_seconds: 6,
      duration_clock: "boot",
    });
    expect(context.ledger.result(job)).toEqual(result);
  });

  it("ends when the observer saw the end, not when it is recorded", () => {
    const { context, job, clock } = governed();
    clock.pass(1000);
    const time = { wallMs: clock.wallMs, bootMs: clock.bootMs };
    clock.pass(30_000);
    const { result } = recordExit(context, job, endingOfStatus(0, "pidfd"), { time });
    expect(resultJson(job, result)).toMatchObject({
      end_time: "2026-01-01T12:00:01.000Z",
      processing_seconds: 1,
    });
  });

  it("has bounds instead of the time of an end that was not observed", () => {
    const { context, job, clock, end } = governed();
    clock.pass(20_000);
    end();
    expect(repairJob(context, { ...job, observer: null })).toBe("closed");
    const result = context.ledger.result(job);
    if (result === undefined) throw new Error("the job is closed");
    expect(summaryLine(job, result)).toContain("| runtime=≤24s |");
    expect(resultJson(job, result)).toMatchObject({
      ending: "unobserved",
      end_time: null,
      last_seen: "2026-01-01T12:00:00.000Z",
      ended_before: "2026-01-01T12:00:20.000Z",
      processing_seconds: null,
      runtime_seconds: null,
      runtime_at_most_seconds: 24,
    });
  });

  it("has bounds although its exit code is known, when the process ended before it was observed", () => {
    const { context, job, clock } = governed();
    clock.pass(3000);
    const { result } = recordExit(context, job, endingOfStatus(7 << 8, "pidfd"), { time: "unseen" });
    expect(resultJson(job, result)).toMatchObject({
      ending: "exited",
      exit_code: 7,
      end_time: null,
      ended_before: "2026-01-01T12:00:03.000Z",
      runtime_seconds: null,
    });
  });

  it("was last seen at its last event, in the time of the clock as it is now", () => {
    const { context, job, clock } = governed();
    clock.pass(10_000);
    const times = { atMs: clock.wallMs, atBootMs: clock.bootMs };
    context.ledger.addEvent(job, { ...times, kind: "observer_died", detail: {} });
    clock.wallMs -= 2 * HOURS_MS;
    clock.pass(5000);
    recordUnobservedExit(context, job);
    expect(context.ledger.result(job)).toMatchObject({
      lastSeenMs: clock.wallMs - 5000,
      endedBeforeMs: clock.wallMs,
    });
  });

  it("was last seen when the daemon that observed it wrote its last report", () => {
    const { context, job, clock } = governed();
    clock.pass(60_000);
    const report = { watch: context.self, atMs: clock.wallMs, atBootMs: clock.bootMs };
    context.ledger.setNote("watch_report", JSON.stringify(report));
    clock.pass(7000);
    recordUnobservedExit(context, job);
    expect(context.ledger.result(job)?.lastSeenMs).toBe(clock.wallMs - 7000);
  });

  it("was not seen by a daemon that did not observe it", () => {
    const { context, job, clock } = governed();
    clock.pass(60_000);
    const watch = { ...context.self, startTicks: 999 };
    context.ledger.setNote("watch_report", JSON.stringify({ watch, atMs: clock.wallMs, atBootMs: 65_000 }));
    recordUnobservedExit(context, job);
    expect(context.ledger.result(job)?.lastSeenMs).toBe(NOON_MS);
  });

  it("ended before the present boot started, for a job of an earlier boot", () => {
    const { context, job, clock } = governed();
    clock.pass(HOURS_MS);
    clock.bootMs = 60_000;
    context.bootId = "another";
    recordUnobservedExit(context, job);
    const result = context.ledger.result(job);
    expect(result).toMatchObject({
      lastSeenMs: NOON_MS,
      endedBeforeMs: NOON_MS + HOURS_MS - 60_000,
      endBootMs: null,
    });
    expect(result && resultJson(job, result)).toMatchObject({
      runtime_at_most_seconds: 59 * 60,
      duration_clock: "wall",
    });
  });
});
