import { isoTime } from "../jobs/json.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { Job } from "../jobs/model/job.ts";
import type { ShownCommand } from "../jobs/model/secrets.ts";
import { limitNumbersOf } from "../limits/limitNumbers.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { TenantTotal } from "../metrics/tenants.ts";
import { jobUseJson, tenantUseJson } from "./jobUse.ts";
import { listedJobJson } from "./listedJob.ts";
import type { JobViewJson, TenantViewJson } from "./snapshotSchemas.ts";

/** The same time by both clocks: wall clock in ms since the epoch, and CLOCK_BOOTTIME in ms. */
export interface ClockPair {
  readonly wallMs: number;
  readonly bootMs: number;
}

/** A job, as a screen shows it. */
export interface ViewedJob {
  readonly job: Job;
  /** Absent: the command is masked here. */
  readonly shown?: ShownCommand | undefined;
  /** `undefined`: it has not ended. */
  readonly result?: JobResult | undefined;
  /** `undefined`: not measured yet, or it has ended. */
  readonly use: JobUse | undefined;
  /** Cores in each 5 s of the last 2 minutes, oldest first. */
  readonly cores: readonly (number | null)[];
}

export function jobViewJson(
  { job, shown, result, use, cores }: ViewedJob,
  { wallMs, bootMs }: ClockPair,
): JobViewJson {
  const measuredMs = wallMs - (bootMs - (use?.now.atBootMs ?? bootMs));
  return {
    ...listedJobJson({
      job,
      shown,
      ...(result && { result }),
      ...(use && { sample: use, hindrance: use.hindrance, shares: use.shares }),
    }),
    use: use ? { time: new Date(measuredMs).toISOString(), ...jobUseJson(use) } : null,
    limits_in_force: limitsInForceJson(job.outcomes),
    cpu_history: cores.map((value) => value && Math.round(value * 1000) / 1000),
  };
}

/** `jobs`: those of the tenant. Each has the outcomes of the limits of the tenant's total. */
export function tenantViewJson(total: TenantTotal, jobs: readonly Job[], wallMs: number): TenantViewJson {
  return {
    time: isoTime(wallMs) as string,
    ...tenantUseJson(total),
    limits_in_force: limitsInForceJson(jobs[0]?.outcomes ?? [], "tenant"),
  };
}

function limitsInForceJson(outcomes: readonly LimitOutcome[], of?: "tenant") {
  const { cpuCores, memoryHighBytes, memoryMaxBytes, taskCount } = limitNumbersOf(outcomes, of);
  return {
    cpu_cores: cpuCores,
    memory_high_bytes: memoryHighBytes,
    memory_max_bytes: memoryMaxBytes,
    task_count: taskCount,
  };
}
