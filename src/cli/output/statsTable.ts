import { formatDuration } from "../../jobs/duration.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import type { JobMedia } from "../../metrics/media/mediaReader.ts";
import type { JobNetwork, NetworkRates } from "../../metrics/network/networkReader.ts";
import type { Rates } from "../../metrics/rates.ts";
import type { JobSample } from "../../metrics/sampler.ts";
import type { TenantTotal } from "../../metrics/tenants.ts";
import { memoryText, percentText, rateText, shareText } from "./amounts.ts";
import { memoryUseText, rounded, useJson } from "./jobTable.ts";
import { mediaJson, networkJson } from "./observedJson.ts";
import type { Column } from "./table.ts";
import { userNameOf } from "./userNames.ts";

/** The present use of resources by one job. */
export interface JobUse extends JobSample {
  /** `null`: its connections are not visible. */
  network: JobNetwork | null;
  media: JobMedia;
}

/** A row of either table. */
interface Measured {
  rates: Rates | null;
  processCount: number | null;
}

const cpu: Column<Measured> = {
  heading: "CPU %",
  right: true,
  text: ({ rates }) => percentText(rates?.cpuPercent ?? null),
};

const others: Column<Measured>[] = [
  {
    heading: "THROTTLED",
    right: true,
    yields: 3,
    text: ({ rates }) => shareText(rates?.throttledPercent ?? null),
  },
  {
    heading: "READ",
    right: true,
    yields: 4,
    text: ({ rates }) => rateText(rates?.readBytesPerSecond ?? null),
  },
  {
    heading: "WRITTEN",
    right: true,
    yields: 4,
    text: ({ rates }) => rateText(rates?.writeBytesPerSecond ?? null),
  },
  { heading: "PROCS", right: true, yields: 2, text: ({ processCount }) => processCount?.toString() ?? "-" },
];

const mediaColumns: Column<JobUse>[] = [
  { heading: "SPEED", right: true, yields: 3, text: speedText },
  { heading: "DONE", right: true, yields: 2, text: ({ media }) => doneText(media) },
  {
    heading: "LEFT",
    right: true,
    yields: 4,
    text: ({ media: { remainingSeconds: seconds } }) =>
      seconds === null ? "-" : formatDuration(1000 * seconds),
  },
];

/** What waits in a receive queue while a job reads steadily. */
const STEADY_QUEUE_BYTES = 64 * 1024;

/** Returns `0.63×`. `ok`: its media time is not known, but it reads what it receives. */
function speedText({ media, network }: JobUse): string {
  if (media.speed !== null)
    return `${media.speed.factor.toFixed(2)}×${media.source === "input" && media.isEstimate ? "~" : ""}`;
  if (media.source !== "none" || network === null) return "-";
  const isReading =
    (network.rates?.receivedBytesPerSecond ?? 0) > 0 && network.receiveBacklogBytes <= STEADY_QUEUE_BYTES;
  return isReading ? "ok" : "-";
}

/** Returns `43 %`, `~43 %` for an estimate, `finishing`, `stuck` or `-`. */
function doneText({ percent, isEstimate, state }: JobMedia): string {
  if (state === "finishing" || state === "stuck") return state;
  return percent === null ? "-" : `${isEstimate ? "~" : ""}${Math.floor(percent)} %`;
}

const networkColumns: Column<JobUse>[] = [
  {
    heading: "SENT",
    right: true,
    yields: 4,
    text: ({ network }) => connectionRateText(network, "sentBytesPerSecond"),
  },
  {
    heading: "RECEIVED",
    right: true,
    yields: 4,
    text: ({ network }) => connectionRateText(network, "receivedBytesPerSecond"),
  },
  { heading: "BACKLOG", right: true, yields: 3, text: ({ network }) => backlogText(network) },
];

/** Returns `-` also for a job without connections: most jobs have none, and the column can be left out. */
function connectionRateText(network: JobNetwork | null, rate: keyof NetworkRates): string {
  return network === null || network.connections === 0 ? "-" : rateText(network.rates?.[rate] ?? null);
}

/** Returns what waits to be sent, in seconds where the rate of the job is known: `9.1 s`. */
function backlogText(network: JobNetwork | null): string {
  if (network === null || network.connections === 0) return "-";
  const { sendBacklogSeconds: seconds, sendBacklogBytes: bytes } = network;
  return seconds === null ? memoryText(bytes) : `${seconds.toFixed(1)} s`;
}

export const STATS_COLUMNS: Column<JobUse>[] = [
  { heading: "JOB", text: ({ job }) => job.jobId },
  { heading: "TENANT", yields: 5, text: ({ job }) => job.tenant ?? "-" },
  cpu,
  {
    heading: "MEMORY",
    right: true,
    text: memoryUseText,
    short: { yields: 1, text: ({ memory }) => memoryText(memory.bytes) },
  },
  ...others,
  ...mediaColumns,
  ...networkColumns,
  { heading: "COMMAND", flexible: true, yields: 1, text: ({ job }) => shownCommand(job).command.join(" ") },
];

export const TENANT_COLUMNS: Column<TenantTotal>[] = [
  { heading: "TENANT", text: ({ tenant }) => tenant },
  { heading: "JOBS", right: true, text: ({ jobs }) => String(jobs) },
  cpu,
  { heading: "MEMORY", right: true, text: ({ memoryBytes }) => memoryText(memoryBytes) },
  ...others,
];

export function jobUseJson(sample: JobUse) {
  const { job, intervalMs } = sample;
  return {
    kind: "job" as const,
    job_id: job.jobId,
    pid: job.process?.pid ?? null,
    user: userNameOf(job.uid),
    tenant: job.tenant,
    interval_seconds: intervalMs === null ? null : intervalMs / 1000,
    ...useJson(sample),
    ...ratesJson(sample.rates),
    network: networkJson(sample.network),
    media: mediaJson(sample.media),
  };
}

export function tenantUseJson({ tenant, jobs, rates, memoryBytes, rssBytes, processCount }: TenantTotal) {
  return {
    kind: "tenant" as const,
    tenant,
    job_count: jobs,
    cpu_percent: rounded(rates?.cpuPercent),
    memory_bytes: memoryBytes,
    memory_rss_bytes: rssBytes,
    process_count: processCount,
    ...ratesJson(rates),
  };
}

function ratesJson(rates: Rates | null) {
  return {
    throttled_percent: rounded(rates?.throttledPercent),
    io_read_bytes_per_second: rounded(rates?.readBytesPerSecond),
    io_write_bytes_per_second: rounded(rates?.writeBytesPerSecond),
  };
}
