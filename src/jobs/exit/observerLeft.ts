import type { JobEvent, RecordedEvent } from "../model/jobEvent.ts";

type ObserverLeft = Extract<JobEvent, { kind: "observer_left" }>;

/** The name, in place of a signal's, of the end of a `watch --once`. */
export const ONCE = "--once";

/**
 * Returns what is recorded of an observer that stops while its job continues. `--once` and Ctrl-C are the operator's choice
 * that no ffrtmp observes the end. SIGTERM and SIGHUP come from a shutdown, a supervisor or a closed terminal too.
 */
export function detailOfLeaving(cause: string): ObserverLeft["detail"] {
  if (cause === ONCE) return { by_choice: true };
  return cause === "SIGINT" ? { signal: cause, by_choice: true } : { signal: cause };
}

/** Returns true when the last observer of a job left it by the operator's choice, and none has taken it over since. */
export function isLeftByChoice(events: readonly RecordedEvent[]): boolean {
  const last = events.findLast(({ kind }) => OBSERVER_KINDS.includes(kind));
  return last?.kind === "observer_left" && last.detail.by_choice === true;
}

const OBSERVER_KINDS: readonly RecordedEvent["kind"][] = ["observer_left", "observer_died", "adopted"];
