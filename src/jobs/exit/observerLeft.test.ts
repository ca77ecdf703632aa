import { describe, expect, it } from "bun:test";
import type { JobEvent, RecordedEvent } from "../model/jobEvent.ts";
import { detailOfLeaving, isLeftByChoice, ONCE } from "./observerLeft.ts";

const left = (cause: string): JobEvent => ({
  atMs: 1,
  kind: "observer_left",
  detail: detailOfLeaving(cause),
});
const adopted: JobEvent = { atMs: 2, kind: "adopted", detail: { observer_pid: 7 } };
const died: JobEvent = { atMs: 2, kind: "observer_died", detail: {} };
const changed: JobEvent = {
  atMs: 3,
  kind: "limits_changed",
  detail: { because: "by hand", before: [], now: [] },
};

describe("isLeftByChoice()", () => {
  it("is true after --once and after Ctrl-C, whatever happened to the limits since", () => {
    expect(isLeftByChoice([left(ONCE)])).toBe(true);
    expect(isLeftByChoice([died, adopted, left("SIGINT"), changed])).toBe(true);
  });

  it("is false after another signal, which a shutdown or a supervisor sends too", () => {
    expect(isLeftByChoice([left("SIGTERM")])).toBe(false);
    expect(isLeftByChoice([left("SIGINT"), adopted, left("SIGHUP")])).toBe(false);
  });

  it("is false once another ffrtmp has taken the job over, or where no observer left", () => {
    expect(isLeftByChoice([left(ONCE), adopted])).toBe(false);
    expect(isLeftByChoice([left(ONCE), adopted, died])).toBe(false);
    expect(isLeftByChoice([])).toBe(false);
  });

  it("is false for what an earlier release or another version recorded", () => {
    const recorded: RecordedEvent[] = [
      { atMs: 1, kind: "observer_left", detail: { signal: "SIGINT" } },
      { atMs: 1, kind: "other", name: "observer_gone", detail: null },
    ];
    for (const event of recorded) expect(isLeftByChoice([event])).toBe(false);
  });
});
