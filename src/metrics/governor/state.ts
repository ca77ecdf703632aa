import type { GovernorPolicy } from "../../policy/governor.ts";

/** The quota of one job. `null`: another one is as tight. */
export interface GovernedQuota {
  readonly jobId: string;
  readonly quotaCores: number | null;
}

/** The present state of the governor, for metrics. */
export interface GovernorState {
  readonly mode: GovernorPolicy["mode"];
  readonly leftCores: number;
  readonly othersCores: number;
  /** A dry run: those that it would set. */
  readonly quotas: readonly GovernedQuota[];
}
