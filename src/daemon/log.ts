import { formatDuration } from "../jobs/duration.ts";
import { ONCE } from "../jobs/exit/observerLeft.ts";
import type { DriftKind } from "../jobs/model/jobEvent.ts";
import { summaryLine, survivorsLine } from "../jobs/summary.ts";
import { hindranceText } from "../metrics/hindrance/hindranceText.ts";
import { noLongerShortText, shortfallText } from "../metrics/shares/shortfall.ts";
import { oneLine } from "../sys/visibleText.ts";
import type { DaemonEvent, DaemonEvents, EventKind, LoadedPolicy } from "./events.ts";
import { isLogged, type LogLevel, levelOf } from "./logLevel.ts";
import type { FleetPolicyReport } from "./policyStore.ts";

/**
 * Writes a line, or several, for every event up to a level that operators read about. Names in them cannot forge another
 * line.
 */
export function logEvents(
  events: DaemonEvents,
  write: (line: string, level: LogLevel) => void,
  most: LogLevel = "info",
): void {
  events.subscribe((event) => {
    const level = levelOf(event);
    if (!isLogged(level, most)) return;
    for (const line of linesOf(event)) write(oneLine(line), level);
  });
}

/** Returns the log lines of an event; none for one that has nothing to say. */
export function linesOf(event: DaemonEvent): string[] {
  const format = LINES[event.kind] as (event: DaemonEvent) => string | string[];
  return [format(event)].flat();
}

/** Keeps the status line current that `systemctl status` shows. */
export function reportStatus(events: DaemonEvents, service: { status(text: string): void }): void {
  events.subscribe((event) => {
    if (event.kind !== "counted") return;
    const { jobs, source, counts, isPolicyValid } = event;
    const dropped = counts.dropped ?? "not counted";
    const policy = isPolicyValid ? "" : "; POLICY FILE NOT VALID, the previous policy is in force";
    const governing = `Governing ${jobs} ${jobs === 1 ? "job" : "jobs"}`;
    service.status(`${governing}; events: ${source}, dropped: ${dropped}${policy}`);
  });
}

/** The log lines of each kind of event. */
const LINES: { [Kind in EventKind]: (event: DaemonEvent<Kind>) => string | string[] } = {
  "daemon-started": (event) => [
    `Watching for ${policyText(event)} (PID ${process.pid}); events: ${event.source}, ledger: ${event.ledgerPath}`,
    ...unavailableLines(event),
    ...warningLines(event),
  ],
  "daemon-stopping": ({ signal }) =>
    `${signal}: stopping; jobs keep running under their limits${signal === ONCE ? ", and this watch does not observe how they end" : ""}`,
  "daemon-stopped": ({ counts: { received, dropped, rescans, foundByScan } }) =>
    `Events received: ${received}, dropped: ${dropped ?? "not counted"}; rescans: ${rescans}; processes found by scan only: ${foundByScan}`,
  "visibility-limited": ({ found, consequence }) =>
    `Limited view of the machine: ${found}${consequence === undefined ? "" : `. Consequence: ${consequence}`}`,
  "realtime-refused": ({ reason }) =>
    `No real-time scheduling (${reason}): on a busy machine, new processes get their limits late. See ffrtmp doctor`,
  "event-source-changed": (event) => [`Event source: ${event.source}`, ...unavailableLines(event)],
  "event-source-failed": ({ source, reason }) => `Event source failed (${source}): ${reason}`,
  "events-lost": ({ reason, dropped }) =>
    `Process events were lost: ${reason}${dropped === null ? "" : ` (${dropped} so far)`}; scanning all processes`,
  "work-postponed": ({ reason }) =>
    `Too few file descriptors (${reason}): work is postponed until there are more. Raise the limit of this process (LimitNOFILE=, ulimit -n)${reason === "ENFILE" ? " or of the machine (sysctl fs.file-max)" : ""}`,
  "connections-ended": ({ count }) =>
    `Too many connections to the address of --listen: all are ended, so that descriptors stay free for jobs (${count} so far). See who makes them: ss -tnp`,
  "request-failed": ({ route, reason }) =>
    `A request to ${route} failed: ${reason}. Jobs are governed as before; please report it`,
  "control-socket-failed": ({ reason }) =>
    `Cannot open the control socket (${reason}): ps --daemon, health and run --detach work without this daemon`,
  "policy-loaded": (event) => [
    `Policy loaded (${event.trigger}): ${policyText(event)}`,
    ...changeLines(event),
    ...warningLines(event),
  ],
  "fleet-policy": ({ report }) => fleetPolicyText(report),
  "policy-rejected": ({ trigger, path, faults }) => [
    `POLICY REJECTED (${trigger}); the previous one stays in force. Errors in ${path}:`,
    ...faults.map((fault) => `  ${fault}`),
  ],
  "process-found-by-scan": ({ pid, isFiltered }) =>
    `PID ${pid} found by scan (${isFiltered ? "its executable has another name than the policy" : "its exec event was missed"})`,
  "not-governed": ({ pid, target, reason }) => `not governed: PID ${pid} (${target}): ${reason}`,
  "tenant-refused": ({ pid, comm, reason }) => `no tenant for PID ${pid} (${comm}): ${reason} is refused`,
  "facts-late": ({ pid }) =>
    `PID ${pid} does not let its arguments or environment be read; the policy decides without them`,
  "job-attached": ({ job: { jobId, process, tenant, outcomes }, target, rule }) => {
    const reasons = [rule && `rule ${rule}`, tenant && `tenant ${tenant}`].filter(Boolean).join(", ");
    const missing = outcomes.filter(({ outcome }) => outcome !== "applied");
    const lines = missing.map(
      ({ limit, of, outcome, because }) => `${of ? `${of}'s ` : ""}${limit} is ${outcome}: ${because}`,
    );
    return [
      `Attaching to PID ${process.pid} (${target}) as job ${jobId}${reasons && ` (${reasons})`}`,
      ...lines.map((line) => `Job ${jobId}: ${line}`),
    ];
  },
  "job-taken-over": ({ job: { jobId, process } }) =>
    `Taking over job ${jobId} (PID ${process.pid}): its observer is gone`,
  "job-handed-over": ({ job: { jobId, process } }) =>
    `Observing job ${jobId} (PID ${process.pid}), which was started in the background`,
  "job-changed-by-policy": ({ job: { jobId, decidedBy }, isChosenOnly }) =>
    `Job ${jobId} has ${isChosenOnly ? "the same limits and labels" : "new limits or labels"} from the policy (${decidedBy})`,
  "job-released-by-policy": ({ job }) => `Job ${job.jobId} is released: the policy no longer asks for it`,
  "job-kept-by-policy": ({ job }) =>
    `Job ${job.jobId} keeps its limits, although the policy no longer asks for it`,
  "job-reconcile-failed": ({ job, reason }) => `Job ${job.jobId} cannot follow the policy: ${reason}`,
  "limit-repaired": ({ job, repair: { what, did, wanted, found } }) =>
    `Job ${job.jobId}: ${what} was changed from outside (wanted ${wanted}, found ${found}): ${REACTIONS[did]}`,
  "quotas-governed": ({ isDryRun, leftCores, cores, quotas }) => {
    const shown = quotas
      .slice(0, MAX_LISTED)
      .map(({ jobId, quotaCores }) => `${jobId} ${quotaText(quotaCores)}`);
    const others = quotas.length - shown.length;
    const list = [...shown, ...(others > 0 ? [`${others} more`] : [])].join(", ");
    return `Governor${isDryRun ? " (dry run, nothing is written)" : ""}: ${leftCores.toFixed(1)} cores left of ${cores} for batch: ${list}`;
  },
  "quota-lifted": ({ job, reason }) => `Job ${job.jobId}: the governor's CPU quota is lifted: ${reason}`,
  "job-short-of-cpu": ({ job, shortfall }) => `Job ${shortfallText(job.jobId, shortfall)}`,
  "job-no-longer-short-of-cpu": ({ job, shares }) => `Job ${noLongerShortText(job.jobId, shares)}`,
  "job-ended": ({ job, result }) => summaryLine(job, result),
  "job-held-back": ({ job, hindrance }) => `Job ${job.jobId}: ${hindranceText(hindrance)}`,
  "job-no-longer-held-back": ({ job, hindrance: { verdict, forMs } }) =>
    `Job ${job.jobId} is no longer held back (${verdict}, for ${formatDuration(forMs)})`,
  "job-left-processes": ({ job, pids }) => survivorsLine(job, pids),
  "job-cleaned-up": ({ job }) =>
    `Job ${job.jobId}: the last process that it left has ended; its cgroup is removed`,
  "hook-ended": ({ jobId, failure, output }) => {
    const words = output === "" ? "" : `: ${output}`;
    if (failure !== null) return `on_end FAILED for job ${jobId}: the command ${failure}${words}`;
    return words === "" ? [] : `on_end for job ${jobId}${words}`;
  },
  "hook-dropped": ({ jobId, reason, dropped }) =>
    `on_end NOT RUN for job ${jobId}: ${reason} (${dropped} so far)`,
  "hook-unavailable": ({ reason }) =>
    `on_end CANNOT RUN: ${reason}. Restart ffrtmp watch; no job is affected by that`,
  "meter-unavailable": ({ reason }) =>
    `Network, media time, GPUs and what holds jobs back are NOT MEASURED: ${reason}. Restart ffrtmp watch; no job is affected by that`,
  "history-pruned": ({ pruned: { jobs, logs, faults } }) => [
    ...(jobs === 0 ? [] : [`History: deleted ${jobs} ended jobs and ${logs} logs, as the retention asks`]),
    ...faults.map((fault) => `History: ${fault}`),
  ],
  "history-prune-failed": ({ reason }) => `History: cannot delete old jobs: ${reason}`,
  counted: ({ jobs, source, counts: { received, dropped } }) =>
    `Observing ${jobs} jobs; events: ${source}, received: ${received}, dropped: ${dropped ?? "not counted"}`,
};

function fleetPolicyText({ ring, in_force_ring: from, serial, state, why }: FleetPolicyReport): string {
  const inForce =
    serial === null
      ? "the policy of this machine is in force"
      : `serial ${serial} of the ring ${from} is in force`;
  if (state === "none") return `Fleet policy: the ring ${ring} has none yet; ${inForce}`;
  return state === "applied" ? `Fleet policy: ${inForce}` : `Fleet policy ${state} (${why}); ${inForce}`;
}

/** Warnings about a policy, and changes of it, in the log. */
const MAX_LISTED = 20;

const REACTIONS: Record<DriftKind, string> = {
  reapplied: "restored",
  given_again: "restored",
  repair_refused: "the kernel refuses to restore it, trying again",
  left_alone: "left alone for an hour",
};

function quotaText(cores: number | null): string {
  return cores === null ? "no quota of its own" : `${cores.toFixed(2)} cores`;
}

function unavailableLines({ unavailable }: { unavailable: string[] }): string[] {
  return unavailable.map((reason) => `Event source unavailable, falling back: ${reason}`);
}

function warningLines({ warnings, path }: LoadedPolicy): string[] {
  const lines = warnings.slice(0, MAX_LISTED).map((warning) => `Policy warning: ${warning}`);
  const others = warnings.length - lines.length;
  return others === 0
    ? lines
    : [...lines, `Policy warning: ${others} more; to list all: ffrtmp policy check ${path}`];
}

function changeLines({ changes, path }: DaemonEvent<"policy-loaded">): string[] {
  if (path === undefined) return [];
  const shown = changes.length === 0 ? ["no change"] : changes.slice(0, MAX_LISTED);
  const others = changes.length - MAX_LISTED;
  return [...shown, ...(others > 0 ? [`${others} more changes`] : [])].map(
    (change) => `Policy ${path} reloaded: ${change}`,
  );
}

function policyText({ policy, path }: LoadedPolicy): string {
  const targets = policy.targets.map(({ text }) => text).join(", ") || "no target commands";
  if (path === undefined) return `${targets}, from the command line`;
  return `${targets}, ${policy.rules.length} rules, ${policy.tenants.size} tenants, from ${path}`;
}
