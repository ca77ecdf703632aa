import type { Context } from "../../jobs/context.ts";
import type { JobResult } from "../../jobs/model/ending.ts";
import type { EndedJob, Job, OpenJob } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { busyPercentBetween, type MachineReading, readMachine } from "../../metrics/machine.ts";
import { type JobSample, JobSampler } from "../../metrics/sampler.ts";
import { type TenantTotal, tenantTotals } from "../../metrics/tenants.ts";

/** The seconds of history that a sparkline shows. */
const HISTORY_SECONDS = 120;
/** The ended jobs that a screen can show. */
const MAX_ENDED = 8;

/** A job as a screen shows it. `null` is unknown, or there is none. */
export interface JobRow {
  readonly job: OpenJob;
  readonly command: string;
  readonly sample: JobSample;
  /** CPU use in cores. */
  readonly cores: number | null;
  /** The CPU quota that is in force, in cores. */
  readonly quotaCores: number | null;
  readonly memoryLimitBytes: number | null;
  /** CPU use in cores of the last two minutes, oldest first. */
  readonly history: readonly CpuPoint[];
  /** The reason why it is held back, with the measured value. */
  readonly hindrance: string | null;
}

interface CpuPoint {
  readonly atBootMs: number;
  readonly cores: number | null;
}

/** Everything that a screen shows, at one time. */
export interface ScreenData {
  readonly atMs: number;
  readonly hostname: string;
  readonly rows: readonly JobRow[];
  readonly tenants: readonly TenantTotal[];
  readonly machine: MachineReading;
  readonly busyPercent: number | null;
  readonly ended: readonly { readonly job: EndedJob; readonly result: JobResult }[];
}

/** Measures again and again what a screen shows. Reads only, as `ffrtmp stats` does. */
export class ScreenSource {
  readonly #context: Context;
  readonly #hostname: string;
  readonly #sampler: JobSampler;
  #history = new Map<string, CpuPoint[]>();
  #machine: MachineReading;

  constructor(context: Context, hostname: string) {
    this.#context = context;
    this.#hostname = hostname;
    this.#sampler = new JobSampler(context);
    this.#machine = readMachine(context.host);
  }

  measure(): ScreenData {
    const { ledger, host } = this.#context;
    const open = ledger.openJobs();
    const alive = open.filter(({ process }) => process !== null && isAlive(host, process));
    const samples = this.#sampler.sample(alive);
    const machine = readMachine(host);
    const busyPercent = busyPercentBetween(this.#machine, machine);
    this.#machine = machine;
    this.#history = new Map(samples.map((sample) => [sample.job.key, this.#historyWith(sample)]));
    return {
      atMs: host.now(),
      hostname: this.#hostname,
      rows: samples.map((sample) => rowOf(sample, this.#history.get(sample.job.key) ?? [])),
      tenants: tenantTotals(samples),
      machine,
      busyPercent,
      ended: ledger.history(MAX_ENDED),
    };
  }

  #historyWith({ job, rates, now }: JobSample): CpuPoint[] {
    const point = { atBootMs: now.atBootMs, cores: coresOf(rates?.cpuPercent) };
    const earlier = this.#history.get(job.key) ?? [];
    const kept = earlier.filter(({ atBootMs }) => now.atBootMs - atBootMs < HISTORY_SECONDS * 1000);
    return rates === null ? kept : [...kept, point];
  }
}

/**
 * Returns `count` averages over equal parts of the last two minutes, oldest first. `null`: nothing was measured in that part.
 */
export function historyIn(
  count: number,
  { history, sample }: Pick<JobRow, "history" | "sample">,
): (number | null)[] {
  const partMs = (HISTORY_SECONDS * 1000) / count;
  const parts = Array.from({ length: count }, (): number[] => []);
  for (const { atBootMs, cores } of history) {
    const index = count - 1 - Math.floor((sample.now.atBootMs - atBootMs) / partMs);
    if (cores !== null) parts[index]?.push(cores);
  }
  return parts.map((values) =>
    values.length === 0 ? null : values.reduce((sum, each) => sum + each, 0) / values.length,
  );
}

function rowOf(sample: JobSample, history: readonly CpuPoint[]): JobRow {
  const { job, rates } = sample;
  const cores = coresOf(rates?.cpuPercent);
  return {
    job,
    sample,
    command: shownCommand(job).command.join(" "),
    cores,
    quotaCores: quotaCoresOf(job),
    memoryLimitBytes: memoryLimitOf(job),
    history,
    hindrance: hindranceOf(sample),
  };
}

/** From this share of its periods on, a quota is what a job waits for most. */
const MUCH_THROTTLED_PERCENT = 50;

function hindranceOf({ rates }: JobSample): string | null {
  const throttled = rates?.throttledPercent ?? 0;
  if (throttled < MUCH_THROTTLED_PERCENT) return null;
  return `its own CPU quota stopped it in ${throttled.toFixed(0)} % of the periods`;
}

function coresOf(percent: number | null | undefined): number | null {
  return percent === null || percent === undefined ? null : percent / 100;
}

/** Reads the text of cpu.max that the kernel has in force: `150000 100000`, or `max 100000`. */
function quotaCoresOf(job: Job): number | null {
  const [quota, period] = (actualOf(job, "cpu.max") ?? "").split(" ").map(Number);
  return quota && period ? quota / period : null;
}

function memoryLimitOf(job: Job): number | null {
  const texts = [actualOf(job, "memory.max"), actualOf(job, "memory.high")];
  const bytes = texts.flatMap((text) => (text !== undefined && /^\d+$/.test(text) ? [Number(text)] : []));
  return bytes.length === 0 ? null : Math.min(...bytes);
}

function actualOf({ outcomes }: Job, name: string): string | undefined {
  return outcomes.find(({ limit, of }) => limit === name && of === undefined)?.actual;
}
