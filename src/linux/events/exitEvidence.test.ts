import { expect, test } from "bun:test";
import { type ExitObservations, selectEvidence } from "./exitEvidence.ts";

const NO_OBSERVATIONS: ExitObservations = {
  record: "unsupported",
  zombieStatus: null,
  reported: "none",
  eventsLost: false,
};

test("the exit record behind the pidfd wins at once over all other evidence", () => {
  const observations: ExitObservations = {
    record: { status: 0x500 },
    zombieStatus: 0,
    reported: 0,
    eventsLost: true,
  };
  for (const waitIsOver of [false, true]) {
    expect(selectEvidence(observations, waitIsOver)).toEqual({ waitStatus: 0x500, evidence: "pidfd" });
  }
});

test("weaker evidence counts only after the wait for better evidence", () => {
  const zombie: ExitObservations = {
    ...NO_OBSERVATIONS,
    record: "running",
    zombieStatus: 0x100,
    reported: 0x200,
  };
  expect(selectEvidence(zombie, false)).toBe("wait");
  expect(selectEvidence(zombie, true)).toEqual({ waitStatus: 0x100, evidence: "proc-stat" });
  const reported: ExitObservations = { ...NO_OBSERVATIONS, reported: 11 };
  expect(selectEvidence(reported, false)).toBe("wait");
  expect(selectEvidence(reported, true)).toEqual({ waitStatus: 11, evidence: "proc-event" });
});

test("without evidence the status is unknown with a reason, never 0", () => {
  for (const [observations, reason] of [
    [
      NO_OBSERVATIONS,
      "pidfds of this kernel keep no exit record (Linux 6.15 does), and no exit event arrived",
    ],
    [
      { ...NO_OBSERVATIONS, record: "none", eventsLost: true },
      "the process has no pidfd, and the kernel dropped its exit event",
    ],
    [
      { ...NO_OBSERVATIONS, record: "unknown", reported: "conflicting" },
      "the pidfd has no exit record, and its threads ended with different statuses",
    ],
    [{ ...NO_OBSERVATIONS, record: "running" }, "its parent has not reaped it, and no exit event arrived"],
  ] as const) {
    expect(selectEvidence(observations, true)).toEqual({ waitStatus: null, evidence: null, reason });
  }
});
