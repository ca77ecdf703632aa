import type { LimitOutcome } from "../../limits/outcome.ts";
import type { Usage } from "../../limits/usage.ts";
import type { ExitEvidence as ObserverEvidence } from "../../linux/events/processEvents.ts";
import { decodeWaitStatus, signalName, signalNumber } from "../../sys/waitStatus.ts";
import type { HinderedTimes } from "./hindered.ts";

/** The source of an exit status: the parent's wait(2), or one of the ways that an observer has. */
export type ExitEvidence = "parent" | ObserverEvidence;

/** The end of a job. A code or a signal always has evidence; an unknown exit always has a reason. */
export type Ending =
  | { readonly kind: "exited"; readonly code: number; readonly evidence: ExitEvidence }
  /** `signal`: `SIGSEGV`, … */
  | { readonly kind: "signaled"; readonly signal: string; readonly evidence: ExitEvidence }
  /**
   * `exit-unknown`: its end was observed, its exit status was not. `unobserved`: it ended while no ffrtmp
   * observed it. `never-started`: there was no workload.
   */
  | { readonly kind: "exit-unknown" | "unobserved" | "never-started"; readonly reason: string }
  /** It was alive when it was released. */
  | { readonly kind: "detached" };

/** A job's result, which is written once and never changes. */
export interface JobResult {
  readonly key: string;
  readonly ending: Ending;
  /** `null` for a job that never ran. */
  readonly startMs: number | null;
  /** CLOCK_BOOTTIME at `startMs`. `null`: unknown, as in the rows of earlier releases. */
  readonly startBootMs: number | null;
  /** When the end was observed. With `endedBeforeMs`: when the result was recorded. */
  readonly endMs: number;
  /** CLOCK_BOOTTIME at `endMs`. `null`: unknown, or of a later boot than the job's. */
  readonly endBootMs: number | null;
  /** The last time when the job was known to run, where its end was not observed. `null`: unknown. */
  readonly lastSeenMs: number | null;
  /** A time at which the job had ended, where its end was not observed. `null`: it was observed at `endMs`. */
  readonly endedBeforeMs: number | null;
  readonly slaCompliant: boolean;
  readonly slaReason: string;
  readonly outcomes: readonly LimitOutcome[];
  readonly usage: Usage;
  /** For how long each cause held it back. `null`: no daemon has judged it. */
  readonly hinderedSeconds: HinderedTimes["secondsBy"] | null;
}

/** Decodes a wait status as wait(2) gives it. */
export function endingOfStatus(waitStatus: number, evidence: ExitEvidence): Ending {
  const { code, signal } = decodeWaitStatus(waitStatus);
  return signal === null
    ? { kind: "exited", code, evidence }
    : { kind: "signaled", signal: signalName(signal), evidence };
}

/** Returns the exit code of a shell: 128 + n for signal n; 125 where the end of the command is unknown. */
export function exitCodeOf(ending: Ending): number {
  if (ending.kind === "exited") return ending.code;
  return ending.kind === "signaled" ? 128 + (signalNumber(ending.signal) ?? 0) : 125;
}

/** The form of an ending in the ledger and in `--json`. */
export interface EndingFacts {
  readonly ending: "exited" | "detached" | "unobserved" | "never_started";
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly exitEvidence: ExitEvidence | null;
  /** Present exactly when there is no evidence. */
  readonly exitUnknownBecause: string | null;
}

export function factsOfEnding(ending: Ending): EndingFacts {
  const facts = { exitCode: null, signal: null, exitEvidence: null, exitUnknownBecause: null };
  switch (ending.kind) {
    case "exited":
      return { ...facts, ending: "exited", exitCode: ending.code, exitEvidence: ending.evidence };
    case "signaled":
      return { ...facts, ending: "exited", signal: ending.signal, exitEvidence: ending.evidence };
    case "detached":
      return { ...facts, ending: "detached", exitUnknownBecause: "it was alive when it was released" };
    case "exit-unknown":
      return { ...facts, ending: "exited", exitUnknownBecause: ending.reason };
    case "unobserved":
      return { ...facts, ending: "unobserved", exitUnknownBecause: ending.reason };
    case "never-started":
      return { ...facts, ending: "never_started", exitUnknownBecause: ending.reason };
  }
}

/** Returns `undefined` for facts that contradict each other. */
export function endingOfFacts(facts: EndingFacts): Ending | undefined {
  const { ending, exitCode: code, signal, exitEvidence: evidence, exitUnknownBecause: reason } = facts;
  if (evidence !== null) {
    if (ending !== "exited" || reason !== null) return undefined;
    if (code !== null) return signal === null ? { kind: "exited", code, evidence } : undefined;
    return signal === null ? undefined : { kind: "signaled", signal, evidence };
  }
  if (reason === null || code !== null || signal !== null) return undefined;
  if (ending === "detached") return { kind: "detached" };
  if (ending === "exited") return { kind: "exit-unknown", reason };
  return { kind: ending === "unobserved" ? "unobserved" : "never-started", reason };
}
