import { formatChange } from "../limits/limits.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import { LIMIT_NAMES } from "../limits/table.ts";
import type { Usage } from "../limits/usage.ts";
import type { EventJson, JobJson, JobUsageJson, LimitJson, ResultJson, UsageJson } from "./jsonSchemas.ts";
import { factsOfEnding, type JobResult } from "./model/ending.ts";
import { type Job, observerOf, startedMsOf } from "./model/job.ts";
import type { RecordedEvent } from "./model/jobEvent.ts";
import { whyMemoryIsPartial } from "./model/memoryCharge.ts";
import { outcomeOf } from "./model/outcome.ts";
import { governedTimeOf, runtimeOf } from "./model/runtime.ts";
import { type ShownCommand, shownCommand } from "./model/secrets.ts";

/** The objects that `--json` prints, as jsonSchemas.ts describes them. */

export function jobJson(job: Job, shown: ShownCommand = shownCommand(job)): JobJson {
  return {
    job_id: job.jobId,
    state: job.state,
    mode: job.mode,
    pid: job.process?.pid ?? null,
    command: [...shown.command],
    command_cut: job.commandCut,
    command_masked: shown.isMasked,
    cwd: shown.cwd,
    uid: job.uid,
    start_time: isoTime(startedMsOf(job)),
    observer_pid: observerOf(job)?.pid ?? null,
    intent: job.intent,
    sla_eligible: job.slaEligible,
    tenant: job.tenant,
    labels: job.labels,
    limits: job.outcomes.map(limitJson),
    limits_by_hand: byHandJson(job),
    cgroups: job.cgroup.map(({ path }) => path),
    log: job.logPath,
    ...decidedByJson(job),
  };
}

function byHandJson({ byHand }: Job): JobJson["limits_by_hand"] {
  if (byHand === null) return [];
  return LIMIT_NAMES.flatMap((limit) => {
    const wanted = formatChange(byHand, limit);
    return wanted === undefined ? [] : [{ limit, wanted }];
  });
}

function decidedByJson({ decidedBy }: Job): Pick<JobJson, "decided_by" | "rule"> {
  if (decidedBy === null) return { decided_by: null, rule: null };
  if (!decidedBy.startsWith("rule ")) return { decided_by: "target_commands", rule: null };
  return { decided_by: "rule", rule: decidedBy.slice("rule ".length) };
}

export function resultJson(job: Job, result: JobResult, shown: ShownCommand = shownCommand(job)): ResultJson {
  const facts = factsOfEnding(result.ending);
  const isSeen = result.endedBeforeMs === null;
  const governedTime = governedTimeOf(result);
  const runtime = runtimeOf(job, result);
  const runtimeSeconds = runtime ? runtime.ms / 1000 : null;
  const clocks = [governedTime, runtime].flatMap((each) => each?.clock ?? []);
  return {
    job_id: job.jobId,
    pid: job.process?.pid ?? null,
    mode: job.mode,
    command: [...shown.command],
    command_cut: job.commandCut,
    command_masked: shown.isMasked,
    ending: facts.ending,
    start_time: isoTime(result.startMs),
    end_time: isoTime(isSeen ? result.endMs : null),
    last_seen: isoTime(result.lastSeenMs),
    ended_before: isoTime(result.endedBeforeMs),
    processing_seconds: isSeen && governedTime ? governedTime.ms / 1000 : null,
    runtime_seconds: runtime?.bound === "exact" ? runtimeSeconds : null,
    runtime_at_most_seconds: runtime?.bound === "at-least" ? null : runtimeSeconds,
    runtime_at_least_seconds: runtime?.bound === "at-most" ? null : runtimeSeconds,
    duration_clock: clocks.includes("wall") ? "wall" : (clocks[0] ?? null),
    exit_code: facts.exitCode,
    signal: facts.signal,
    exit_evidence: facts.exitEvidence,
    exit_unknown_because: facts.exitUnknownBecause,
    outcome: outcomeOf(result.ending),
    platform_sla_compliant: result.slaCompliant,
    platform_sla_reason: result.slaReason,
    sla_eligible: job.slaEligible,
    intent: job.intent,
    tenant: job.tenant,
    labels: job.labels,
    limits: result.outcomes.map(limitJson),
    usage: jobUsageJson(job, result.usage),
    hindered_seconds: result.hinderedSeconds,
    log: job.logPath,
  };
}

/** Absent keys stay absent. */
export function limitJson({
  heldBy,
  processHadEnded,
  ...outcome
}: LimitOutcome & { processHadEnded?: true }): LimitJson {
  return {
    ...outcome,
    ...(heldBy === undefined ? {} : { held_by: heldBy }),
    ...(processHadEnded ? { process_had_ended: true } : {}),
  };
}

export function jobUsageJson(job: Job, usage: Usage): JobUsageJson {
  const because = usage.memoryPeakBytes === null ? undefined : whyMemoryIsPartial(job);
  return {
    ...usageJson(usage),
    memory_peak_partial: because !== undefined,
    memory_peak_partial_because: because ?? null,
  };
}

export function usageJson(usage: Usage): UsageJson {
  return {
    cpu_user_seconds: seconds(usage.cpuUserUsec),
    cpu_system_seconds: seconds(usage.cpuSystemUsec),
    throttled_seconds: seconds(usage.throttledUsec),
    memory_peak_bytes: usage.memoryPeakBytes,
    memory_max_hits: usage.memoryMaxHits,
    oom_kills: usage.oomKills,
    io_read_bytes: usage.ioReadBytes,
    io_write_bytes: usage.ioWriteBytes,
    cpu_pressure_seconds: seconds(usage.cpuPressureUsec),
    memory_pressure_seconds: seconds(usage.memoryPressureUsec),
    io_pressure_seconds: seconds(usage.ioPressureUsec),
  };
}

export function eventJson(event: RecordedEvent): EventJson {
  const time = new Date(event.atMs).toISOString();
  if (event.kind === "other") return { time, kind: event.name, detail: event.detail };
  const { kind, detail } = event;
  return { time, kind, detail: kind === "last_gone" ? { usage: usageJson(detail.usage) } : detail };
}

export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

function seconds(usec: number | null): number | null {
  return usec === null ? null : usec / 1e6;
}
