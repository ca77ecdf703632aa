import type { LimitRepair } from "../jobs/limits/enforceLimits.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { summaryLine, survivorsLine } from "../jobs/summary.ts";
import type { DaemonEvent, DaemonEvents, LoadedPolicy } from "./events.ts";

/** Writes a line, or several, for every event that operators read about. */
export function logEvents(events: DaemonEvents, write: (line: string) => void): void {
  events.subscribe((event) => {
    for (const line of formatEvent(event)) write(line);
  });
}

/** The log lines of an event; none for events that only other subscribers need. */
function formatEvent(event: DaemonEvent): string[] {
  switch (event.kind) {
    case "daemon-started":
      return [
        `Watching for ${describePolicy(event)} (PID ${process.pid}); events: ${event.source}, ledger: ${event.ledgerPath}`,
        ...event.unavailable.map(unavailableLine),
        ...event.warnings.map(warningLine),
      ];
    case "daemon-stopping":
      return [`${event.signal}: stopping; jobs keep running under their limits`];
    case "daemon-stopped": {
      const { received, dropped, rescans, foundByScan } = event.counts;
      return [
        `Events received: ${received}, dropped: ${dropped ?? "not counted"}; rescans: ${rescans}; processes found by scan only: ${foundByScan}`,
      ];
    }
    case "visibility-limited":
      return [visibilityLine(event)];
    case "event-source-changed":
      return [`Event source: ${event.source}`, ...event.unavailable.map(unavailableLine)];
    case "event-source-failed":
      return [`Event source failed (${event.source}): ${event.reason}`];
    case "events-lost": {
      const count = event.dropped === null ? "" : ` (${event.dropped} so far)`;
      return [`Process events were lost: ${event.reason}${count}; scanning all processes`];
    }
    case "policy-loaded":
      return [
        `Policy loaded (${event.trigger}): ${describePolicy(event)}`,
        ...event.warnings.map(warningLine),
      ];
    case "policy-rejected":
      return [
        `POLICY REJECTED (${event.trigger}); the previous one stays in force. Errors in ${event.path}:`,
        ...event.faults.map((fault) => `  ${fault}`),
      ];
    case "process-found-by-scan":
      return [`PID ${event.pid} found by scan (its exec event was missed)`];
    case "attach-failed":
      return [`Not governing PID ${event.pid} (${event.target}): ${event.reason}`];
    case "job-attached":
      return attachedLines(event);
    case "job-taken-over":
      return [`Taking over job ${event.job.jobId} (PID ${event.job.process.pid}): its observer is gone`];
    case "job-changed-by-policy":
      return [`Job ${event.job.jobId} has new limits or labels from the policy`];
    case "job-released-by-policy":
      return [`Job ${event.job.jobId} is released: the policy no longer asks for it`];
    case "job-kept-by-policy":
      return [`Job ${event.job.jobId} keeps its limits, although the policy no longer asks for it`];
    case "job-reconcile-failed":
      return [`Job ${event.job.jobId} cannot follow the policy: ${event.reason}`];
    case "limit-repaired":
      return [repairLine(event.job, event.repair)];
    case "job-ended":
      return [summaryLine(event.job, event.result)];
    case "job-left-processes":
      return [survivorsLine(event.job, [...event.pids])];
    case "job-cleaned-up":
      return [`Job ${event.job.jobId}: the last process that it left has ended; its cgroup is removed`];
    case "counted":
      return [];
  }
}

function attachedLines({ job, target, rule }: DaemonEvent & { kind: "job-attached" }): string[] {
  const { jobId, process, tenant, outcomes } = job;
  const reasons = [rule && `rule ${rule}`, tenant && `tenant ${tenant}`].filter(Boolean);
  const reason = reasons.length === 0 ? "" : ` (${reasons.join(", ")})`;
  const missing = outcomes.filter(({ outcome }) => outcome !== "applied");
  return [
    `Attaching to PID ${process.pid} (${target}) as job ${jobId}${reason}`,
    ...missing.map(
      ({ limit, of, outcome, because }) =>
        `Job ${jobId}: ${of ? `${of}'s ` : ""}${limit} is ${outcome}: ${because}`,
    ),
  ];
}

function visibilityLine({ found, consequence }: DaemonEvent & { kind: "visibility-limited" }): string {
  const line = `Limited view of the machine: ${found}`;
  return consequence === undefined ? line : `${line}. Consequence: ${consequence}`;
}

function repairLine({ jobId }: RunningJob, { what, did, wanted, found }: LimitRepair): string {
  const action = did === "left_alone" ? "left alone for an hour" : "restored";
  return `Job ${jobId}: ${what} was changed from outside (wanted ${wanted}, found ${found}): ${action}`;
}

function unavailableLine(reason: string): string {
  return `Event source unavailable, falling back: ${reason}`;
}

function warningLine(warning: string): string {
  return `Policy warning: ${warning}`;
}

function describePolicy({ policy, path }: LoadedPolicy): string {
  const targets = policy.targets.map(({ text }) => text).join(", ") || "no target commands";
  if (path === undefined) return `${targets}, from the command line`;
  return `${targets}, ${policy.rules.length} rules, ${policy.tenants.size} tenants, from ${path}`;
}
