import type { DaemonEvent, EventKind } from "./events.ts";

/** From the fewest lines to the most. */
const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function isLogged(level: LogLevel, most: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(most);
}

/** Priorities of syslog(3), which the journal reads from the start of a line: sd-daemon(3). */
export const JOURNAL_PREFIXES: Record<LogLevel, string> = {
  error: "<3>",
  warn: "<4>",
  info: "<6>",
  debug: "<7>",
};

/** The events that an operator should know about. All others are `info`, but the counts. */
const LEVELS: Partial<Record<EventKind, LogLevel>> = {
  "event-source-failed": "error",
  "policy-rejected": "error",
  "hook-unavailable": "error",
  "visibility-limited": "warn",
  "realtime-refused": "warn",
  "events-lost": "warn",
  "work-postponed": "warn",
  "connections-ended": "warn",
  "request-failed": "error",
  "control-socket-failed": "warn",
  "not-governed": "warn",
  "tenant-refused": "warn",
  "facts-late": "warn",
  "job-reconcile-failed": "warn",
  "limit-repaired": "warn",
  "job-short-of-cpu": "warn",
  "job-left-processes": "warn",
  "hook-dropped": "warn",
  "meter-unavailable": "warn",
  "history-prune-failed": "warn",
  counted: "debug",
};

export function levelOf(event: DaemonEvent): LogLevel {
  if (event.kind === "job-attached")
    return event.job.outcomes.some(({ outcome }) => outcome === "refused") ? "warn" : "info";
  if (event.kind === "job-held-back") return event.hindrance.isLive ? "warn" : "info";
  if (event.kind === "quotas-governed") return event.isDryRun || event.isNew ? "info" : "debug";
  if (event.kind === "fleet-policy")
    return event.report.state === "refused" || event.report.state === "unsupported" ? "warn" : "info";
  if (event.kind === "job-ended") return event.result.slaCompliant ? "info" : "warn";
  if (event.kind === "hook-ended") return event.failure === null ? "info" : "warn";
  return LEVELS[event.kind] ?? "info";
}
