import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import type { Ending } from "../../jobs/model/ending.ts";
import type { RunnerRecord } from "./spool.ts";
import { judgeAttempt, type LedgerAttempt } from "./standing.ts";

const BOOT = "boot-2";
const runnerRecord = (
  state: RunnerRecord["state"],
  bootId = BOOT,
  why: string | null = null,
): RunnerRecord => ({
  v: 1,
  state,
  why,
  boot_id: bootId,
  at: "2026-11-28T00:00:00.000Z",
});
const judge = (runner: RunnerRecord | undefined, ledger: LedgerAttempt | undefined) =>
  judgeAttempt({ runner, ledger, bootId: BOOT });
const ended = (ending: Ending): LedgerAttempt => ({ state: "ended", ending });

describe("an attempt", () => {
  it("that has not started waits, in whatever boot it was claimed", () => {
    expect(judge(undefined, undefined)).toEqual({ kind: "waiting" });
    expect(judge(runnerRecord("starting"), undefined)).toEqual({ kind: "waiting" });
    expect(judge(runnerRecord("starting", "boot-1"), undefined)).toEqual({ kind: "waiting" });
  });

  it("runs while the ledger has it open in this boot", () => {
    expect(judge(runnerRecord("starting", "boot-1"), { state: "open", bootId: BOOT })).toEqual({
      kind: "running",
    });
  });

  it("has ended with whatever exit the ledger has, and when it was released", () => {
    const endings: Ending[] = [
      { kind: "exited", code: 0, evidence: "parent" },
      { kind: "exited", code: 1, evidence: "pidfd" },
      { kind: "signaled", signal: "SIGSEGV", evidence: "parent" },
      { kind: "exit-unknown", reason: "no pidfd" },
      { kind: "detached" },
    ];
    for (const ending of endings)
      expect(judge(runnerRecord("started"), ended(ending))).toEqual({ kind: "ended" });
  });

  it("is lost where the ledger, the boot or the runner says so", () => {
    const lost = (reason: string, why: unknown = expect.any(String)) => ({ kind: "lost", reason, why });
    expect(judge(undefined, { state: "open", bootId: "boot-1" }) as object).toEqual(lost("rebooted"));
    expect(judge(runnerRecord("started", "boot-1"), undefined) as object).toEqual(lost("rebooted"));
    expect(judge(runnerRecord("started"), ended({ kind: "unobserved", reason: "x" })) as object).toEqual(
      lost("unobserved", "x"),
    );
    expect(judge(undefined, ended({ kind: "never-started", reason: "y" })) as object).toEqual(
      lost("never started", "y"),
    );
    expect(judge(runnerRecord("refused", BOOT, "z"), undefined) as object).toEqual(lost("refused", "z"));
  });

  it("is judged by the ledger before the runner, which could not see its own start", () => {
    const exited = ended({ kind: "exited", code: 0, evidence: "parent" });
    expect(judge(runnerRecord("refused"), exited)).toEqual({ kind: "ended" });
    expect(judge(runnerRecord("started", "boot-1"), exited)).toEqual({ kind: "ended" });
  });

  it("that the ledger has forgotten in this boot is not lost", () => {
    expect(judge(runnerRecord("started"), undefined)).toEqual({ kind: "unknown" });
  });

  it("is lost by no absence alone: not without a boot that is over, a verdict or a refusal", () => {
    const runner = fc.option(
      fc.constantFrom("starting", "started").map((state) => runnerRecord(state as "started")),
      {
        nil: undefined,
      },
    );
    const ledger = fc.option(fc.constant<LedgerAttempt>({ state: "open", bootId: BOOT }), { nil: undefined });
    fc.assert(fc.property(runner, ledger, (own, has) => judge(own, has).kind !== "lost"));
  });
});
