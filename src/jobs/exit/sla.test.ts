import { describe, expect, it } from "bun:test";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { UNKNOWN_USAGE } from "../../limits/usage.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import { evaluateSla } from "./sla.ts";

const applied: LimitOutcome = { limit: "memory.max", outcome: "applied", wanted: "64M", actual: "64M" };
const refused: LimitOutcome = {
  limit: "cpu.max",
  outcome: "refused",
  wanted: "50000 100000",
  because: "EACCES",
};
const atOurCap = { ...UNKNOWN_USAGE, oomKills: 1, memoryMaxHits: 7 };

describe("evaluateSla() finds compliant", () => {
  it("a job that completed", () => {
    expect(evaluateSla(endingOfStatus(0, "parent"), [applied], UNKNOWN_USAGE)).toEqual({
      compliant: true,
      reason: "completed_successfully",
    });
  });

  it("a job that failed by itself, was killed by another program, or was released", () => {
    const reasons = [
      endingOfStatus(42 << 8, "pidfd"),
      endingOfStatus(9, "parent"),
      { kind: "detached" } as const,
    ].map((ending) => evaluateSla(ending, [applied], UNKNOWN_USAGE));
    expect(reasons).toEqual([
      { compliant: true, reason: "ended_with_error" },
      { compliant: true, reason: "ended_by_signal" },
      { compliant: true, reason: "detached" },
    ]);
  });

  it("a job whose process ended before its limits could be applied", () => {
    const late: LimitOutcome = { ...refused, because: "it had ended", processHadEnded: true };
    for (const ending of [
      endingOfStatus(0, "pidfd"),
      endingOfStatus(3 << 8, "pidfd"),
      endingOfStatus(9, "pidfd"),
    ]) {
      expect(evaluateSla(ending, [applied, late], UNKNOWN_USAGE)).toEqual({
        compliant: true,
        reason: "ended_before_limits",
      });
    }
  });

  it("an end that no ffrtmp observed because the operator chose so", () => {
    const unseen: Ending = { kind: "unobserved", reason: "x" };
    expect(evaluateSla(unseen, [applied], UNKNOWN_USAGE, { isLeftByChoice: true })).toEqual({
      compliant: true,
      reason: "unobserved_by_choice",
    });
  });

  it("a limit that is in force in part", () => {
    const partial: LimitOutcome = { ...applied, outcome: "partial", because: "new allocations only" };
    expect(evaluateSla(endingOfStatus(0, "parent"), [partial], UNKNOWN_USAGE).compliant).toBe(true);
  });

  it("a job that the whole machine's shortage of memory ended, though it had a cap", () => {
    expect(evaluateSla(endingOfStatus(9, "parent"), [applied], { ...atOurCap, memoryMaxHits: 0 })).toEqual({
      compliant: true,
      reason: "ended_by_signal",
    });
  });

  it("a job killed at the memory limit of another cgroup, without a memory limit of its own in force", () => {
    expect(evaluateSla(endingOfStatus(9, "parent"), [], atOurCap).compliant).toBe(true);
    const missing: LimitOutcome = { ...applied, outcome: "refused", because: "EACCES" };
    expect(evaluateSla(endingOfStatus(9, "parent"), [missing], atOurCap).reason).toBe(
      "limit_not_applied(memory.max)",
    );
  });
});

describe("evaluateSla() finds a violation", () => {
  it("in an unobserved end for another reason, although the operator chose that no ffrtmp observes it", () => {
    const unseen: Ending = { kind: "unobserved", reason: "x" };
    const isLeftByChoice = true;
    expect(evaluateSla(unseen, [applied, refused], UNKNOWN_USAGE, { isLeftByChoice }).reason).toBe(
      "limit_not_applied(cpu.max)",
    );
    expect(evaluateSla(unseen, [applied], atOurCap, { isLeftByChoice }).reason).toBe(
      "killed_at_our_memory_cap",
    );
    const lost: Ending = { kind: "exit-unknown", reason: "x" };
    expect(evaluateSla(lost, [applied], UNKNOWN_USAGE, { isLeftByChoice }).compliant).toBe(false);
  });

  it("when no ffrtmp observed the end, or the job never started, or its exit status is unknown", () => {
    const endings: Ending[] = [
      { kind: "unobserved", reason: "no ffrtmp observed it" },
      { kind: "never-started", reason: "refused" },
      { kind: "exit-unknown", reason: "no evidence" },
    ];
    expect(endings.map((ending) => evaluateSla(ending, [applied], UNKNOWN_USAGE))).toEqual([
      { compliant: false, reason: "ended_unobserved" },
      { compliant: false, reason: "never_started" },
      { compliant: false, reason: "exit_unknown" },
    ]);
  });

  it("when the kernel killed a process at the total memory limit of the job's tenant", () => {
    const total: LimitOutcome = { ...applied, of: "tenant" };
    const killed = { ...UNKNOWN_USAGE, oomKills: 1, memoryMaxHits: 0 };
    expect(
      evaluateSla(endingOfStatus(9, "pidfd"), [applied, total], killed, { tenantMemoryHits: 3 }),
    ).toEqual({
      compliant: false,
      reason: "killed_at_tenants_memory_cap",
    });
    expect(
      evaluateSla(endingOfStatus(9, "pidfd"), [applied], killed, { tenantMemoryHits: 3 }).compliant,
    ).toBe(true);
    expect(
      evaluateSla(endingOfStatus(9, "pidfd"), [total], atOurCap, { tenantMemoryHits: 0 }).compliant,
    ).toBe(true);
  });

  it("when the kernel killed a process at the job's hard memory limit, even if the main process survived", () => {
    for (const status of [9, 0, 137 << 8]) {
      expect(evaluateSla(endingOfStatus(status, "parent"), [applied, refused], atOurCap)).toEqual({
        compliant: false,
        reason: "killed_at_our_memory_cap",
      });
    }
  });

  it("when a limit failed for another reason, although the process ended before others were applied", () => {
    const late: LimitOutcome = {
      ...applied,
      outcome: "refused",
      because: "it had ended",
      processHadEnded: true,
    };
    expect(evaluateSla(endingOfStatus(0, "pidfd"), [late, refused], UNKNOWN_USAGE)).toEqual({
      compliant: false,
      reason: "limit_not_applied(cpu.max)",
    });
    const unknown: Ending = { kind: "exit-unknown", reason: "x" };
    expect(evaluateSla(unknown, [late], UNKNOWN_USAGE).reason).toBe("exit_unknown");
    const unseen: Ending = { kind: "unobserved", reason: "x" };
    expect(evaluateSla(unseen, [late], UNKNOWN_USAGE).reason).toBe("ended_unobserved");
  });

  it("when a live job was starved by a CPU quota of ours, unless something worse happened", () => {
    const starved = { starvedSeconds: 30 };
    for (const ending of [
      endingOfStatus(0, "parent"),
      endingOfStatus(9, "pidfd"),
      { kind: "detached" } as const,
    ])
      expect(evaluateSla(ending, [applied], UNKNOWN_USAGE, starved)).toEqual({
        compliant: false,
        reason: "starved_by_own_limit",
      });
    const worse = (ending: Ending, outcomes: LimitOutcome[], usage = UNKNOWN_USAGE) =>
      evaluateSla(ending, outcomes, usage, starved).reason;
    expect(worse(endingOfStatus(0, "parent"), [applied], atOurCap)).toBe("killed_at_our_memory_cap");
    expect(worse(endingOfStatus(0, "parent"), [refused])).toBe("limit_not_applied(cpu.max)");
    expect(worse({ kind: "unobserved", reason: "x" }, [])).toBe("ended_unobserved");
  });

  it("when limits were not applied, and names them", () => {
    const unsupported: LimitOutcome = {
      limit: "io.max",
      outcome: "unsupported",
      wanted: "x",
      because: "none",
    };
    expect(evaluateSla(endingOfStatus(0, "parent"), [refused, applied, unsupported], UNKNOWN_USAGE)).toEqual({
      compliant: false,
      reason: "limit_not_applied(cpu.max,io.max)",
    });
  });
});
