import { version } from "../../package.json";
import { type SlaRates, slaRatesJson } from "../jobs/exit/slaRates.ts";
import { isoTime } from "../jobs/json.ts";
import type { ResultJson } from "../jobs/jsonSchemas.ts";
import { tenantTotals } from "../metrics/tenants.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { deviceUseJson } from "./jobUse.ts";
import { type ClockPair, jobViewJson, tenantViewJson, type ViewedJob } from "./jobView.ts";
import { type MachineParts, machineJson } from "./machine.ts";
import type { JobViewJson, SnapshotJson } from "./snapshotSchemas.ts";

/** All that a daemon knows at one time. */
export interface SnapshotParts extends MachineParts {
  readonly at: ClockPair;
  readonly hostname: string;
  readonly daemon: { readonly pid: number; readonly startMs: number };
  readonly sla: SlaRates;
  readonly events: SnapshotJson["events"];
  readonly problems: SnapshotJson["problems"];
  readonly jobs: readonly ViewedJob[];
  readonly devices: readonly DeviceReading[];
  /** The last jobs that ended, the latest first. */
  readonly ended: readonly ResultJson[];
}

export function snapshotJson(parts: SnapshotParts): SnapshotJson {
  const { at, daemon, jobs } = parts;
  const time = new Date(at.wallMs).toISOString();
  const views = jobs.map((viewed) => jobViewJson(viewed, at));
  const totals = tenantTotals(jobs.flatMap(({ use }) => use ?? []));
  const byTenant = Map.groupBy(jobs, ({ job }) => job.tenant);
  const jobsOf = (tenant: string) => (byTenant.get(tenant) ?? []).map(({ job }) => job);
  return {
    time,
    hostname: parts.hostname,
    ffrtmp_version: version,
    boot_time: bootTime(at),
    daemon_start_time: isoTime(daemon.startMs),
    daemon_pid: daemon.pid,
    machine: machineJson(parts),
    counts: countsJson(views),
    sla: slaRatesJson(parts.sla),
    events: parts.events,
    problems: parts.problems,
    jobs: views,
    tenants: totals.map((total) => tenantViewJson(total, jobsOf(total.tenant), at.wallMs)),
    gpus: parts.devices.map((device) => ({ time, ...deviceUseJson(device) })),
    ended: [...parts.ended],
  };
}

/** The clocks are read one after the other, so that ms would differ from one snapshot to the next. */
function bootTime({ wallMs, bootMs }: ClockPair): string {
  return new Date(Math.round((wallMs - bootMs) / 1000) * 1000).toISOString();
}

function countsJson(views: readonly JobViewJson[]): SnapshotJson["counts"] {
  const name = (tenant: string | null) => tenant ?? "";
  const byTenant = [...Map.groupBy(views, ({ tenant }) => tenant)].map(([tenant, of]) => ({
    tenant,
    ...countJson(of),
  }));
  byTenant.sort((a, b) => (name(a.tenant) < name(b.tenant) ? -1 : 1));
  return { ...countJson(views), by_tenant: byTenant };
}

function countJson(views: readonly JobViewJson[]): { running: number; hindered: number | null } {
  const judged = views.flatMap(({ use }) => (use !== null && "hindrance" in use ? [use.hindrance] : []));
  const hindered = judged.filter((hindrance) => hindrance !== null).length;
  return { running: views.length, hindered: judged.length === 0 && views.length > 0 ? null : hindered };
}
