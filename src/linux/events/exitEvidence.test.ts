import { expect, test } from "bun:test";
import { type ExitObservations, selectEvidence } from "./exitEvidence.ts";

const NO_OBSERVATIONS: ExitObservations = {
  record: "unsupported",
  zombieStatus: null,
  told: "nothing",
  eventsLost: false,
};

test("the record behind the pidfd counts at once and before everything else", () => {
  const traces: ExitObservations = { record: { status: 0x500 }, zombieStatus: 0, told: 0, eventsLost: true };
  for (const waitIsOver of [false, true]) {
    expect(selectEvidence(traces, waitIsOver)).toEqual({ waitStatus: 0x500, evidence: "pidfd" });
  }
});

test("lesser evidence waits for better, and counts when the wait is over", () => {
  const zombie: ExitObservations = {
    ...NO_OBSERVATIONS,
    record: "running",
    zombieStatus: 0x100,
    told: 0x200,
  };
  expect(selectEvidence(zombie, false)).toBe("wait");
  expect(selectEvidence(zombie, true)).toEqual({ waitStatus: 0x100, evidence: "proc-stat" });
  const told: ExitObservations = { ...NO_OBSERVATIONS, told: 11 };
  expect(selectEvidence(told, false)).toBe("wait");
  expect(selectEvidence(told, true)).toEqual({ waitStatus: 11, evidence: "proc-event" });
});

test("without evidence the status is unknown, never 0, and the reason is said", () => {
  for (const [traces, reason] of [
    [NO_OBSERVATIONS, "pidfds of this kernel keep no exit record (Linux 6.15 does), and no event told it"],
    [
      { ...NO_OBSERVATIONS, record: "none", eventsLost: true },
      "there was no pidfd to ask, and the kernel dropped the event that told it",
    ],
    [
      { ...NO_OBSERVATIONS, record: "unknown", told: "disputed" },
      "the pidfd has no exit record, and its threads ended with different statuses",
    ],
    [{ ...NO_OBSERVATIONS, record: "running" }, "its parent has not collected it, and no event told it"],
  ] as const) {
    expect(selectEvidence(traces, true)).toEqual({ waitStatus: null, evidence: null, reason });
  }
});
