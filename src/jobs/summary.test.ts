import { describe, expect, it } from "bun:test";
import { someEndedJob, someJob, someResult } from "../../test/support/jobs.ts";
import { exitText, summaryLine } from "./summary.ts";

const job = someJob();

describe("summaryLine()", () => {
  it("is the line that operators grep for", () => {
    expect(summaryLine(job, someResult(job))).toBe(
      "JOB transcode-001 | outcome=succeeded | sla=COMPLIANT | reason=completed_successfully | runtime=12s | exit=0 | pid=4026",
    );
  });

  it("names a violation, a signal and short times", () => {
    const result = someResult(job, {
      endMs: 1_700_000_000_460,
      endBootMs: 1_235_010,
      ending: { kind: "signaled", signal: "SIGKILL", evidence: "pidfd" },
      slaCompliant: false,
      slaReason: "killed_at_our_memory_cap",
    });
    expect(summaryLine(job, result)).toBe(
      "JOB transcode-001 | outcome=killed | sla=VIOLATION | reason=killed_at_our_memory_cap | runtime=0.5s | exit=SIGKILL | pid=4026",
    );
  });

  it("says that a workload failed, although the platform did its part", () => {
    const result = someResult(job, {
      ending: { kind: "exited", code: 1, evidence: "parent" },
      slaReason: "ended_with_error",
    });
    expect(summaryLine(job, result)).toStartWith(
      "JOB transcode-001 | outcome=failed | sla=COMPLIANT | reason=ended_with_error | ",
    );
  });

  it("shows the runtime of a process that was alive when it was detached as a lower bound", () => {
    expect(summaryLine(job, someResult(job, { ending: { kind: "detached" } }))).toContain(
      "| outcome=unknown | sla=COMPLIANT | reason=completed_successfully | runtime=≥12s |",
    );
  });

  it("invents no number for a job that never had a process", () => {
    const result = someResult(job, {
      ending: { kind: "never-started", reason: "x" },
      startMs: null,
      slaReason: "never_started",
    });
    expect(summaryLine(someEndedJob({ process: null }), result)).toEndWith(
      "| runtime=0s | exit=unknown | pid=none",
    );
  });
});

describe("exitText()", () => {
  it("never calls unknown 0", () => {
    expect(exitText(someResult(job, { ending: { kind: "exit-unknown", reason: "x" } }))).toBe("unknown");
    expect(exitText(someResult(job))).toBe("0");
  });
});
