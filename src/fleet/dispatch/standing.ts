import type { Ending } from "../../jobs/model/ending.ts";
import type { Loss } from "../messages/job.ts";
import type { RunnerRecord } from "./spool.ts";

/** An attempt in the ledger. */
export type LedgerAttempt =
  | { readonly state: "open"; readonly bootId: string }
  | { readonly state: "ended"; readonly ending: Ending };

/** Where an attempt that this node has claimed can be read about. */
export interface Evidence {
  /** Absent: the runner has not begun. */
  readonly runner: RunnerRecord | undefined;
  /** Absent: the ledger has no job with this id. */
  readonly ledger: LedgerAttempt | undefined;
  /** The present boot. */
  readonly bootId: string;
}

/**
 * The state of an attempt on its node. `waiting`: it has not started. `running`: it may run. `unknown`: it has started, and the ledger
 * does not have it any more; nothing is concluded from that.
 */
export type Standing =
  | { readonly kind: "waiting" | "running" | "unknown" | "ended" }
  | {
      readonly kind: "lost";
      readonly reason: Exclude<Loss["reason"], "stated" | "expired">;
      readonly why: string;
    };

/**
 * Decides whether an attempt goes on, has ended, or is lost. It is lost only where something says so: a boot that is over, the
 * ledger, or the runner. However long nothing is heard of it, it is not lost.
 */
export function judgeAttempt({ runner, ledger, bootId }: Evidence): Standing {
  // The ledger first: its record of a start is written in one transaction with the decision to start.
  if (ledger?.state === "ended") return judgeEnding(ledger.ending);
  if (ledger?.state === "open") {
    if (ledger.bootId === bootId) return { kind: "running" };
    return { kind: "lost", reason: "rebooted", why: "the machine was restarted while the job ran" };
  }
  switch (runner?.state) {
    case undefined:
    // Without a job in the ledger, nothing has started: the runner tries again.
    case "starting":
      return { kind: "waiting" };
    case "refused":
      return { kind: "lost", reason: "refused", why: runner.why ?? "the runner gives no reason" };
    case "started":
      if (runner.boot_id === bootId) return { kind: "unknown" };
      return {
        kind: "lost",
        reason: "rebooted",
        why: "the machine was restarted after the start of the job",
      };
  }
}

function judgeEnding(ending: Ending): Standing {
  switch (ending.kind) {
    case "unobserved":
      return { kind: "lost", reason: "unobserved", why: ending.reason };
    case "never-started":
      return { kind: "lost", reason: "never started", why: ending.reason };
    // Its end was seen, or an operator has released it here. A bad exit code is the job's own.
    case "exited":
    case "signaled":
    case "exit-unknown":
    case "detached":
      return { kind: "ended" };
  }
}
