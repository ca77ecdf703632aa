import { ValueFault } from "../limits/units.ts";

/** `dry-run` computes and reports the quotas, and writes none. */
export const GOVERNOR_MODES = ["on", "dry-run", "off"] as const;

/** A part of all CPUs, or a number of them. */
export type Headroom = { readonly percent: number } | { readonly cores: number };

/** Quotas for the batch jobs whose weight does not count against live jobs. */
export interface GovernorPolicy {
  readonly mode: "on" | "dry-run";
  /** The CPU time that batch leaves free. */
  readonly headroom: Headroom;
}

/** The part of the CPUs that `capacity` leaves free too. */
export const DEFAULT_HEADROOM: Headroom = { percent: 10 };

export const HEADROOM = 'a part of all CPUs or a number of them: "10%", "0.5 cores"';

const MAX_CORES = 10_000;

/** A number without a unit could mean either. */
export function parseHeadroom(text: string): Headroom {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?(%|cores?)$/.exec(text) ?? [];
  if (digits === undefined) throw new ValueFault("is not an amount of CPU time with its unit");
  const amount = Number(digits);
  // On a full machine the others use what batch leaves them: it would keep what it has.
  if (amount === 0) throw new ValueFault("protects nothing");
  if (unit !== "%") {
    if (amount > MAX_CORES) throw new ValueFault(`is more than ${MAX_CORES} cores`);
    return { cores: amount };
  }
  if (amount >= 100) throw new ValueFault("leaves nothing for batch");
  return { percent: amount };
}

export function headroomCores(headroom: Headroom, cores: number): number {
  return "cores" in headroom ? headroom.cores : (headroom.percent / 100) * cores;
}
