import type { LimitName } from "../../limits/table.ts";
import type { Usage } from "../../limits/usage.ts";
import type { Verdict } from "./hindered.ts";

/** A limit or a membership that was changed from outside. */
export interface Drift {
  /** `membership`: processes were moved out of the job's cgroup. */
  readonly what: LimitName | `tenant's ${LimitName}` | "governor's cpu.max" | "membership";
  readonly wanted: string;
  /** The value that was found instead. */
  readonly found: string;
}

/** The reaction to a drift: written again, written again with its controller enabled again, refused, or not corrected. */
export type DriftKind = "reapplied" | "given_again" | "repair_refused" | "left_alone";

/** Kinds and details as the ledger stores them and `--json` prints them, so with underscores. */
interface Details {
  /** Another ffrtmp took over the job, or a job was recovered. */
  adopted: { readonly because: string } | { readonly observer_pid: number };
  /** The process that started the job in the background handed it over to a daemon. */
  handed_over: { readonly observer_pid: number };
  observer_died: Record<string, never>;
  /**
   * The observer stopped and the job continues. `signal`: it was stopped by this signal. `by_choice`: the operator chose
   * that no ffrtmp observes the end.
   */
  observer_left: { readonly signal?: string; readonly by_choice?: true };
  /** The policy no longer asks for the job. It is governed again when the policy asks for it again. */
  released_by_policy: { readonly because: string };
  /** The job was detached by hand, and the operator has let the policy decide about its process again. */
  returned_to_policy: Record<string, never>;
  detach_failed: { readonly failures: readonly string[]; readonly left: readonly string[] };
  limits_changed: {
    readonly because: string;
    readonly before: readonly string[];
    readonly now: readonly string[];
    /** Old limits that could not be removed. Absent: none. */
    readonly failures?: readonly string[];
  };
  reapplied: Drift;
  given_again: Drift;
  repair_refused: Drift;
  left_alone: Drift;
  /** The job ended and processes stayed in its cgroup. */
  left_behind: { readonly pids: readonly number[] };
  /** Something has held the job back for 30 s. `seconds`: for how long until then. */
  held_back: {
    readonly verdict: Verdict;
    readonly live: boolean;
    readonly seconds: number;
    readonly needed_cores: number | null;
    readonly limit: string | null;
    readonly text: string;
  };
  held_back_ended: { readonly verdict: Verdict; readonly seconds: number };
  /** The last process of `left_behind` has ended. `usage`: since the job's end. */
  last_gone: { readonly usage: Usage };
}

export type JobEventKind = keyof Details;

interface EventTimes {
  readonly atMs: number;
  /** CLOCK_BOOTTIME of the boot in which the job runs. Absent where only the wall clock was recorded. */
  readonly atBootMs?: number;
}

export type JobEvent = {
  [Kind in JobEventKind]: EventTimes & { readonly kind: Kind; readonly detail: Details[Kind] };
}[JobEventKind];

/** An entry in a job's history, as it is read. `other`: another version of ffrtmp wrote it, with the kind `name`. */
export type RecordedEvent =
  | JobEvent
  | (EventTimes & { readonly kind: "other"; readonly name: string; readonly detail: unknown });

/** The fields of a detail that its readers depend on. */
const REQUIRED: Record<JobEventKind, readonly string[]> = {
  adopted: [],
  handed_over: ["observer_pid"],
  observer_died: [],
  observer_left: [],
  released_by_policy: [],
  returned_to_policy: [],
  detach_failed: [],
  limits_changed: [],
  reapplied: ["what", "wanted", "found"],
  given_again: ["what", "wanted", "found"],
  repair_refused: ["what", "wanted", "found"],
  left_alone: ["what", "wanted", "found"],
  left_behind: ["pids"],
  held_back: ["verdict", "seconds"],
  held_back_ended: ["verdict", "seconds"],
  last_gone: ["usage"],
};

export type DriftEvent = Extract<JobEvent, { kind: DriftKind }>;

export function isDriftEvent(event: RecordedEvent): event is DriftEvent {
  return event.kind !== "other" && REQUIRED[event.kind].includes("wanted");
}

/** Returns an event of a known kind only where its detail has what the kind needs. */
export function recordedEvent(times: EventTimes, kind: string, detail: unknown): RecordedEvent {
  const required = Object.hasOwn(REQUIRED, kind) ? REQUIRED[kind as JobEventKind] : undefined;
  const isObject = typeof detail === "object" && detail !== null;
  const isComplete = isObject && required?.every((name) => Object.hasOwn(detail, name));
  return isComplete
    ? ({ ...times, kind, detail } as JobEvent)
    : { ...times, kind: "other", name: kind, detail };
}
