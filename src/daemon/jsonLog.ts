import { isoTime, resultJson } from "../jobs/json.ts";
import { shownCommand } from "../jobs/model/secrets.ts";
import { oneLine } from "../sys/visibleText.ts";
import type { DaemonEvent, DaemonEvents } from "./events.ts";
import { hindranceFacts } from "./hindranceEvents.ts";
import { linesOf } from "./log.ts";
import { isLogged, type LogLevel, levelOf } from "./logLevel.ts";

/** Writes one JSON object on one line for every event. */
export function logJsonEvents(
  events: DaemonEvents,
  write: (line: string, level: LogLevel) => void,
  most: LogLevel,
): void {
  events.subscribe((event) => {
    const line = jsonEventLine(event, most);
    if (line !== undefined) write(line, levelOf(event));
  });
}

/** Returns the line of an event; `undefined` for one beyond the level, or without a text. */
export function jsonEventLine(event: DaemonEvent, most: LogLevel): string | undefined {
  const level = levelOf(event);
  const lines = linesOf(event);
  if (!isLogged(level, most) || lines.length === 0) return undefined;
  return jsonLine(level, event.kind, lines.join("\n"), factsOf(event));
}

/** Returns a line of the log. `kind` is written with underscores, as in all other JSON of ffrtmp. */
export function jsonLine(level: LogLevel, kind: string, message: string, facts: object = {}): string {
  const time = isoTime(Date.now());
  return oneLine(JSON.stringify({ time, level, kind: kind.replaceAll("-", "_"), message, ...facts }));
}

/** Returns what scripts need besides the message. */
function factsOf(event: DaemonEvent): object {
  const job = "job" in event ? event.job : undefined;
  return {
    ...(job ? { job_id: job.jobId, pid: job.process?.pid ?? null } : {}),
    ...("pid" in event ? { pid: event.pid } : {}),
    ...("pids" in event ? { pids: event.pids } : {}),
    ...("jobId" in event ? { job_id: event.jobId } : {}),
    ...("reason" in event ? { reason: event.reason } : {}),
    ...moreFactsOf(event),
  };
}

function moreFactsOf(event: DaemonEvent): object {
  switch (event.kind) {
    case "daemon-started":
      return { event_source: event.source, ledger: event.ledgerPath, policy: event.path ?? null };
    case "event-source-changed":
    case "event-source-failed":
      return { event_source: event.source };
    case "policy-loaded":
      return { policy: event.path ?? null, warnings: event.warnings };
    case "fleet-policy":
      return { fleet_policy: event.report };
    case "policy-rejected":
      return { policy: event.path ?? null, faults: event.faults };
    case "job-attached": {
      const { mode, tenant, outcomes } = event.job;
      const { command } = shownCommand(event.job);
      return { mode, target: event.target, rule: event.rule ?? null, tenant, command, limits: outcomes };
    }
    case "limit-repaired":
      return { repair: event.repair };
    case "job-held-back":
    case "job-no-longer-held-back":
      return hindranceFacts(event.hindrance);
    case "job-short-of-cpu":
      return { sure_cores: event.shortfall.sureCores, need_cores: event.shortfall.needCores };
    case "job-no-longer-short-of-cpu":
      return { sure_cores: event.shares.sureCores, need_cores: event.shares.need?.cores ?? null };
    case "quotas-governed":
      return {
        dry_run: event.isDryRun,
        left_cores: event.leftCores,
        quotas: event.quotas.map(({ jobId, quotaCores }) => ({ job_id: jobId, cores: quotaCores })),
      };
    case "job-ended":
      return { result: resultJson(event.job, event.result) };
    case "hook-ended":
      return { failure: event.failure, output: event.output };
    case "counted":
      return { jobs: event.jobs, event_source: event.source };
    default:
      return {};
  }
}
