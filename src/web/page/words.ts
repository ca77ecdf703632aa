import type { Hindrance, JobUse, JobView, LimitResult } from "./data.ts";
import { memoryLimitText, percentText, quotaText, UNKNOWN } from "./format.ts";

export function hindranceOf({ use }: JobView): Hindrance | null {
  return use?.hindrance ?? null;
}

/** Returns how far a job is, in one line: `25 %`, `~43 %`, `finishing`. `undefined`: nothing is known of an end. */
export function progressText({ media }: JobUse): string | undefined {
  const { percent, percent_is_estimate: isEstimate, state } = media;
  if (state === "stuck") return percent === null ? "stuck" : `stuck at ${percentText(percent)}`;
  if (state === "finishing") return "finishing";
  return percent === null ? undefined : `${isEstimate ? "~" : ""}${percentText(percent)}`;
}

const SOURCES: Readonly<Record<string, string>> = {
  progress: "from its progress file",
  log: "from its log",
  playlist: "from its playlist",
  input: "from its place in the input",
};

export const sourceText = (source: string): string => SOURCES[source] ?? "";

export const limitName = ({ limit, of }: LimitResult): string => (of ? `${of}’s ${limit}` : limit);

/** A limit that is applied in part is in force: the kernel has it, for less than was asked for. */
export function isInForce({ outcome }: LimitResult): boolean {
  return outcome === "applied" || outcome === "partial";
}

/** Returns the value of a limit as people write it: `0.08 cores`, `1 GiB`. */
export function limitText({ limit }: LimitResult, value: string | undefined): string {
  if (value === undefined) return UNKNOWN;
  const [, quota, period] = /^(\d+) (\d+)$/.exec(value) ?? [];
  if (limit === "cpu.max" && quota !== undefined) return `${quotaText(Number(quota) / Number(period))} cores`;
  return limit.startsWith("memory.") && /^\d+$/.test(value) ? memoryLimitText(Number(value)) : value;
}

const EVENTS: Readonly<Record<string, string>> = {
  started: "governed",
  adopted: "another ffrtmp observes it",
  handed_over: "left to ffrtmp watch",
  observer_died: "the ffrtmp that observed it died",
  observer_left: "the ffrtmp that observed it stopped",
  released_by_policy: "released by the policy",
  reapplied: "a limit was changed from outside, and restored",
  given_again: "a controller was disabled, and the limit restored",
  repair_refused: "a limit was changed from outside, and cannot be restored",
  left_alone: "a limit was changed too often, and is left alone",
  held_back_ended: "no longer held back",
  left_behind: "it left processes",
  last_gone: "its last process ended",
};

/** Returns an event in words. One of a later release has its own name. */
export const eventText = (kind: string): string => EVENTS[kind] ?? kind.replaceAll("_", " ");

/** Returns the details of an event: `pid: 4026, limits: cpu.max applied`. What is not known is left out. */
export function detailText(detail: unknown): string {
  if (Array.isArray(detail)) return detail.map(detailText).filter(Boolean).join(", ");
  if (typeof detail !== "object" || detail === null) return String(detail ?? "");
  if ("text" in detail) return String(detail.text);
  if ("because" in detail && "now" in detail) return `${detail.because}: ${detailText(detail.now)}`;
  if ("limit" in detail && "outcome" in detail) return `${detail.limit} ${detail.outcome}`;
  return Object.entries(detail)
    .map(([name, value]) => [name.replaceAll("_", " "), detailText(value)])
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${name}: ${text}`)
    .join(", ");
}
