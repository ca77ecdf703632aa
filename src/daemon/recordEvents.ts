import type { Context } from "../jobs/context.ts";
import type { DaemonEvent, DaemonEvents } from "./events.ts";
import { readDaemonReport } from "./status.ts";

/** Faults of a policy that are kept; the file can have any number. */
const MAX_FAULTS = 10;

/**
 * Records in the ledger what happens to the daemon itself, for `ffrtmp events`: a start or a stop, a policy, an event source,
 * lost process events. Not what it decides about processes: each of those would write to the ledger for every process that a
 * user starts.
 */
export function recordEvents(bus: DaemonEvents, context: Context): void {
  const { ledger, host } = context;
  const hadDied = readDaemonReport(context)?.state === "died";
  let signal: string | undefined;
  bus.subscribe((event) => {
    if (event.kind === "daemon-stopping") signal = event.signal;
    const entry = entryOf(event, { hadDied, signal });
    if (entry !== undefined) ledger.addDaemonEvent(entry.kind, entry.detail, host.now());
  });
}

function entryOf(
  event: DaemonEvent,
  { hadDied, signal }: { hadDied: boolean; signal: string | undefined },
): { kind: string; detail: object } | undefined {
  switch (event.kind) {
    case "daemon-started": {
      const { policy, path, source, unavailable } = event;
      const targets = policy.targets.map(({ text }) => text);
      const about = { pid: process.pid, source, unavailable, policy: path ?? null, targets };
      return { kind: "daemon_started", detail: { ...about, previous_died: hadDied } };
    }
    case "daemon-stopped":
      return { kind: "daemon_stopped", detail: { pid: process.pid, signal: signal ?? null } };
    case "event-source-changed":
      return {
        kind: "event_source_changed",
        detail: { source: event.source, unavailable: event.unavailable },
      };
    case "event-source-failed":
      return { kind: "event_source_failed", detail: { source: event.source, reason: event.reason } };
    case "events-lost":
      return { kind: "events_lost", detail: { reason: event.reason, dropped: event.dropped } };
    case "policy-loaded": {
      const { trigger, path, policy } = event;
      return {
        kind: "policy_loaded",
        detail: { because: trigger, policy: path ?? null, rules: policy.rules.length },
      };
    }
    case "policy-rejected": {
      const faults = event.faults.slice(0, MAX_FAULTS);
      return {
        kind: "policy_rejected",
        detail: { because: event.trigger, policy: event.path ?? null, faults },
      };
    }
    case "history-pruned": {
      const { jobs, logs, faults } = event.pruned;
      if (jobs === 0 && faults.length === 0) return undefined;
      return { kind: "history_pruned", detail: { jobs, logs, faults: faults.slice(0, MAX_FAULTS) } };
    }
    case "history-prune-failed":
      return { kind: "history_prune_failed", detail: { reason: event.reason } };
    default:
      return undefined;
  }
}
