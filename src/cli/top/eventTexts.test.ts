import { expect, test } from "bun:test";
import { someJob } from "../../../test/support/jobs.ts";
import type { RecordedEvent } from "../../jobs/model/jobEvent.ts";
import { clockText, timelineOf } from "./eventTexts.ts";

const drift = { what: "cpu.max" as const, wanted: "150000 100000", found: "max 100000" };

test("a timeline has the latest event first, in words, and the start of the job at its end", () => {
  const events: RecordedEvent[] = [
    { atMs: 2, kind: "handed_over", detail: { observer_pid: 77 } },
    { atMs: 3, kind: "reapplied", detail: drift },
    { atMs: 4, kind: "observer_left", detail: { signal: "SIGTERM" } },
  ];
  const job = someJob({ mode: "watch", decidedBy: "rule live", startedMs: 1 });
  expect(timelineOf(job, events)).toEqual([
    { atMs: 4, text: "its observer stopped (SIGTERM); the job kept running" },
    { atMs: 3, text: "cpu.max was changed to max 100000; set to 150000 100000 again" },
    { atMs: 2, text: "handed over to ffrtmp PID 77" },
    { atMs: 1, text: "found and governed by rule live, PID 4026, without limits" },
  ]);
});

test("an event that another version wrote is shown with its name and what it says", () => {
  const event: RecordedEvent = {
    atMs: 2,
    kind: "other",
    name: "was_moved",
    detail: { to: "/a", why: { code: 3 } },
  };
  expect(timelineOf(someJob({ startedMs: 1 }), [event])[0]?.text).toBe('was moved to=/a why={"code":3}');
});

test("a verdict is shown in its own words, and its end with how long it lasted", () => {
  const named = (name: string, detail: unknown): RecordedEvent => ({ atMs: 2, kind: "other", name, detail });
  const events = [
    named("held_back", { verdict: "own_limit", seconds: 30, text: "held back by its own CPU quota for 30s" }),
    named("held_back_ended", { verdict: "own_limit", seconds: 190 }),
  ];
  expect(
    timelineOf(someJob(), events)
      .map(({ text }) => text)
      .slice(0, 2),
  ).toEqual(["no longer held back, after 3m10s", "held back by its own CPU quota for 30s"]);
});

test("a time of another day has its date", () => {
  const now = new Date(2026, 10, 27, 14, 7, 42).getTime();
  expect(clockText(now - 60_000, now)).toBe("14:06:42");
  expect(clockText(now - 86_400_000, now)).toBe("2026-11-26 14:07:42");
});
