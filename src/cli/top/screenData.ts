import type { JobResult } from "../../jobs/model/ending.ts";
import type { EndedJob, Job, OpenJob } from "../../jobs/model/job.ts";
import type { deviceUseJson, jobUseJson } from "../../json/jobUse.ts";
import { limitNumbersOf } from "../../limits/limitNumbers.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import type { MachineReading } from "../../metrics/machine.ts";
import { sumKnown } from "../../metrics/rates.ts";
import type { Track } from "./track.ts";

/** The use of resources by a job, as the daemon and `stats --json` report it. */
export type JobUseJson = ReturnType<typeof jobUseJson>;
export type DeviceUseJson = ReturnType<typeof deviceUseJson>;

/** The parts of a job's record that a screen shows. */
export type ShownJob = Pick<OpenJob, "jobId" | "mode" | "tenant" | "outcomes" | "cwd" | "commandCut"> & {
  readonly process: Pick<ProcessIdentity, "pid"> | null;
};

/** A job as a screen shows it. `null` is unknown, or there is none. */
export interface ScreenJob {
  /** The machine that `--on` names. `null`: this one. */
  readonly host: string | null;
  readonly job: ShownJob;
  /** Without secrets. */
  readonly command: readonly string[];
  readonly use: JobUseJson;
  readonly track: Pick<Track, "samples" | "averageOf" | "points">;
  /** It has to keep up with real time. */
  readonly isLive: boolean;
  /** The reason why it is held back, with the measured value. */
  readonly hindrance: string | null;
}

/** Returns a key that is unique on a screen: two machines can have jobs with one id. */
export function rowId({
  host,
  job,
}: Pick<ScreenJob, "host"> & { readonly job: Pick<ShownJob, "jobId"> }): string {
  return host === null ? job.jobId : `${host}: ${job.jobId}`;
}

/** A machine that `--on` names. */
export interface ScreenHost {
  readonly name: string;
  /** Why its present jobs are not shown. `null`: they are. */
  readonly trouble: string | null;
  /** It has just been asked for the first time. */
  readonly isConnecting: boolean;
  /** Its last reading. `null`: there is none. */
  readonly machine: MachineReading | null;
  readonly busyPercent: number | null;
  /** The jobs of its last reading. */
  readonly jobs: number;
}

/** The present use of resources by all jobs of one tenant. A value that is unknown for one job is unknown for its tenant. */
export interface ScreenTenant {
  readonly tenant: string;
  readonly jobs: number;
  readonly hindered: number;
  readonly cores: number | null;
  /** The quota of the tenant's total. */
  readonly quotaCores: number | null;
  readonly memoryBytes: number | null;
  readonly memoryLimitBytes: number | null;
  /** Over TCP. `null` also where no job has a connection. */
  readonly sentBytesPerSecond: number | null;
}

/** Everything that a screen shows, at one time. */
export interface ScreenData {
  readonly atMs: number;
  readonly atBootMs: number;
  /** The name of the machine, or how many there are. */
  readonly hostname: string;
  /** The machines that `--on` names. `null`: the screen shows this one. */
  readonly hosts: readonly ScreenHost[] | null;
  readonly intervalMs: number;
  /** `daemon`: ffrtmp watch has measured at least one of the jobs. */
  readonly source: "daemon" | "own";
  /** Why the daemon, which should answer, does not. */
  readonly sourceNote: string | null;
  readonly jobs: readonly ScreenJob[];
  readonly tenants: readonly ScreenTenant[];
  readonly devices: readonly DeviceUseJson[];
  readonly machine: MachineReading;
  readonly busyPercent: number | null;
  /** The compliant part of the jobs with `--sla-eligible` that ended in the last 24 hours. */
  readonly slaPercent: number | null;
  readonly ended: readonly { readonly job: EndedJob; readonly result: JobResult }[];
}

/** Returns the CPU use of a job in cores. */
export function coresOf({ cpu_percent: percent }: Pick<JobUseJson, "cpu_percent">): number | null {
  return percent === null ? null : percent / 100;
}

/** Returns the CPU quota that is in force, in cores. `tenant`: that of its tenant's total. */
export function quotaCoresOf({ outcomes }: Pick<Job, "outcomes">, of?: "tenant"): number | null {
  return limitNumbersOf(outcomes, of).cpuCores;
}

/** Returns the tighter one of the memory limits that are in force. */
export function memoryLimitOf({ outcomes }: Pick<Job, "outcomes">, of?: "tenant"): number | null {
  const { memoryHighBytes, memoryMaxBytes } = limitNumbersOf(outcomes, of);
  const known = [memoryHighBytes, memoryMaxBytes].filter((bytes) => bytes !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** Returns the totals of tenants, by name. */
export function tenantsOf(jobs: readonly ScreenJob[], atBootMs: number): ScreenTenant[] {
  const byTenant = Map.groupBy(jobs, ({ job }) => job.tenant);
  const totals = [...byTenant].flatMap(([tenant, of]): ScreenTenant[] => {
    const [first] = of;
    if (tenant === null || first === undefined) return [];
    return [
      {
        tenant,
        jobs: of.length,
        hindered: of.filter(({ hindrance }) => hindrance !== null).length,
        cores: sumKnown(of.map(({ use }) => coresOf(use))),
        quotaCores: quotaCoresOf(first.job, "tenant"),
        memoryBytes: sumKnown(of.map(({ use }) => use.memory_bytes)),
        memoryLimitBytes: memoryLimitOf(first.job, "tenant"),
        sentBytesPerSecond: sumKnown(
          of.filter(hasConnections).map((row) => sentBytesPerSecondOf(row, atBootMs)),
        ),
      },
    ];
  });
  return totals.sort((a, b) => a.tenant.localeCompare(b.tenant));
}

/** TCP sends in bursts: a receiver that takes little takes nothing in most seconds. */
const SENT_AVERAGE_MS = 10_000;

/** Returns what a job sends over TCP, on average over 10 s. */
export function sentBytesPerSecondOf({ track }: ScreenJob, atBootMs: number): number | null {
  return track.averageOf("sent", atBootMs, SENT_AVERAGE_MS);
}

/** Returns false only for a job that is known to have none. */
function hasConnections({ use }: ScreenJob): boolean {
  return use.network?.tcp_connections !== 0;
}
