import type { OpenJob } from "../../jobs/model/job.ts";
import type { JobShares } from "./jobShares.ts";

/** A job that needs more than it is sure of. */
export interface Shortfall {
  readonly sureCores: number;
  readonly needCores: number;
}

/**
 * Returns what a job lacks; `undefined`: nothing, or it is not known. A job whose media time is not known is judged only if
 * its intent is `live`: any other may use what it gets.
 */
export function shortfallOf(
  { intent }: Pick<OpenJob, "intent">,
  { sureCores, need }: JobShares,
): Shortfall | undefined {
  if (sureCores === null || need === null || need.cores <= sureCores) return undefined;
  return need.isWhileKeepingUp || intent === "live" ? { sureCores, needCores: need.cores } : undefined;
}

/** Returns `live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full`. */
export function shortfallText(jobId: string, { sureCores, needCores }: Shortfall): string {
  return `${jobId} is sure of ${sureCores.toFixed(2)} cores and needs ${needCores.toFixed(2)}: it will fall behind when the machine is full`;
}

/** So many judgements in a row decide, 10 s apart. */
const IN_A_ROW = 3;

/** Reports the shortfall of a job once, and again only after it was over: a need that is close to the share moves around it. */
export class ShortfallAlarm {
  readonly #states = new Map<string, { isRaised: boolean; contrary: number }>();

  /** Returns true when the shortfall has lasted and was not reported. */
  judge(key: string, isShort: boolean): boolean {
    const state = this.#states.get(key) ?? { isRaised: false, contrary: 0 };
    this.#states.set(key, state);
    state.contrary = isShort === state.isRaised ? 0 : state.contrary + 1;
    if (state.contrary < IN_A_ROW) return false;
    state.isRaised = isShort;
    state.contrary = 0;
    return isShort;
  }

  isRaised(key: string): boolean {
    return this.#states.get(key)?.isRaised === true;
  }

  forget(key: string): void {
    this.#states.delete(key);
  }
}
