import type { OpenJob } from "../../jobs/model/job.ts";
import type { JobShares } from "./jobShares.ts";

/** A job that needs more than it is sure of. */
export interface Shortfall {
  readonly sureCores: number;
  readonly needCores: number;
}

/**
 * Returns what a job lacks; `undefined`: nothing, not for long enough, or it is not known. A job whose media time is not known
 * is judged only if its intent is `live`: any other may use what it gets.
 */
export function shortfallOf(
  { intent }: Pick<OpenJob, "intent">,
  { sureCores, need, isShort }: JobShares,
): Shortfall | undefined {
  if (isShort === false || sureCores === null || need === null || need.cores <= sureCores) return undefined;
  return need.isWhileKeepingUp || intent === "live" ? { sureCores, needCores: need.cores } : undefined;
}

/** Returns `live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full`. */
export function shortfallText(jobId: string, { sureCores, needCores }: Shortfall): string {
  return `${jobId} is sure of ${sureCores.toFixed(2)} cores and needs ${needCores.toFixed(2)}: it will fall behind when the machine is full`;
}

/** Returns `live-7 is no longer short of CPU: it is sure of 0.50 cores and needs 0.40`. */
export function noLongerShortText(jobId: string, { sureCores, need }: JobShares): string {
  const numbers =
    sureCores === null || need === null
      ? "what it is sure of or needs is not known any more"
      : `it is sure of ${sureCores.toFixed(2)} cores and needs ${need.cores.toFixed(2)}`;
  return `${jobId} is no longer short of CPU: ${numbers}`;
}

/** Returns the text of a shortfall for a job that is short of CPU; `null`: it is not, or its shares are not known. */
export function shortfallTextOf(
  job: Pick<OpenJob, "jobId" | "intent">,
  shares: JobShares | null,
): string | null {
  const shortfall = shares === null ? undefined : shortfallOf(job, shares);
  return shortfall === undefined ? null : shortfallText(job.jobId, shortfall);
}

/** So many judgements in a row decide, 10 s apart. */
const IN_A_ROW = 3;

/**
 * Reports the begin of a job's shortfall once, then its end once: a need that is close to the share moves around it.
 */
export class ShortfallAlarm {
  readonly #states = new Map<string, { isRaised: boolean; contrary: number }>();

  /** Returns `undefined` where nothing is to be reported: no change, or not for long enough. */
  judge(key: string, isShort: boolean): "began" | "ended" | undefined {
    const state = this.#states.get(key) ?? { isRaised: false, contrary: 0 };
    this.#states.set(key, state);
    state.contrary = isShort === state.isRaised ? 0 : state.contrary + 1;
    if (state.contrary < IN_A_ROW) return undefined;
    state.isRaised = isShort;
    state.contrary = 0;
    return isShort ? "began" : "ended";
  }

  isRaised(key: string): boolean {
    return this.#states.get(key)?.isRaised === true;
  }

  forget(key: string): void {
    this.#states.delete(key);
  }
}
