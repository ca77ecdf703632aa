import { formatDuration } from "../../jobs/duration.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { shortHindranceText } from "../../metrics/hindrance/hindranceText.ts";
import { STEADY_QUEUE_BYTES } from "../../metrics/hindrance/window.ts";
import type { JobUse } from "../../metrics/jobUse.ts";
import type { JobMedia } from "../../metrics/media/mediaReader.ts";
import type { JobNetwork, NetworkRates } from "../../metrics/network/networkReader.ts";
import type { Pressure, Rates, SummedRates } from "../../metrics/rates.ts";
import type { JobSample } from "../../metrics/sampler.ts";
import type { TenantTotal } from "../../metrics/tenants.ts";
import type { DeviceReading } from "../../sys/nvml.ts";
import { memoryText, percentText, rateText, shareText } from "./amounts.ts";
import { memoryUseText } from "./jobTable.ts";
import { needColumn, sureColumn } from "./shareColumns.ts";
import type { Column } from "./table.ts";

/** A row of either table. */
interface Measured {
  rates: (SummedRates & Pick<Rates, "throttledPercent">) | null;
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

/** A column of a part of the time in which the job waited. */
function waiting(heading: string, resource: keyof Pressure, yields: number): Column<JobSample> {
  return {
    heading,
    right: true,
    yields,
    text: ({ rates }) => shareText(rates?.pressure[resource] ?? null),
  };
}

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

const heldBackBy: Column<JobUse> = {
  heading: "HELD BACK BY",
  yields: 6,
  text: ({ hindrance }) => shortHindranceText(hindrance),
};

const JOB_COLUMNS: Column<JobUse>[] = [
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
  waiting("CPU WAIT", "cpuSomePercent", 2),
  waiting("MEM WAIT", "memorySomePercent", 1),
  waiting("IO WAIT", "ioSomePercent", 1),
  ...mediaColumns,
  sureColumn(3),
  needColumn(3),
  ...networkColumns,
];

const COMMAND: Column<JobUse> = {
  heading: "COMMAND",
  flexible: true,
  yields: 1,
  text: ({ job }) => shownCommand(job).command.join(" "),
};

const GPU_COLUMNS: Column<JobUse>[] = [
  { heading: "GPU %", right: true, text: ({ gpu }) => percentText(gpu?.smPercent ?? null) },
  { heading: "ENC %", right: true, yields: 2, text: ({ gpu }) => percentText(gpu?.encoderPercent ?? null) },
  { heading: "DEC %", right: true, yields: 2, text: ({ gpu }) => percentText(gpu?.decoderPercent ?? null) },
  { heading: "GPU MEM", right: true, yields: 2, text: ({ gpu }) => memoryText(gpu?.memoryBytes ?? null) },
];

/** Returns the columns of the table of jobs; those of GPUs where a job uses one. */
export function jobColumns(samples: readonly JobUse[]): Column<JobUse>[] {
  const gpu = samples.some((sample) => sample.gpu !== null) ? GPU_COLUMNS : [];
  return [...JOB_COLUMNS, ...gpu, heldBackBy, COMMAND];
}

export const TENANT_COLUMNS: Column<TenantTotal>[] = [
  { heading: "TENANT", text: ({ tenant }) => tenant },
  { heading: "JOBS", right: true, text: ({ jobs }) => String(jobs) },
  cpu,
  { heading: "MEMORY", right: true, text: ({ memoryBytes }) => memoryText(memoryBytes) },
  ...others,
];

export const DEVICE_COLUMNS: Column<DeviceReading>[] = [
  { heading: "GPU", text: ({ index, name }) => (name === null ? String(index) : `${index} ${name}`) },
  { heading: "GPU %", right: true, text: ({ device }) => percentText(device.smPercent) },
  { heading: "ENC %", right: true, text: ({ device }) => percentText(device.encoderPercent) },
  { heading: "DEC %", right: true, text: ({ device }) => percentText(device.decoderPercent) },
  { heading: "GPU MEM", right: true, text: ({ device }) => memoryText(device.memoryUsedBytes) },
  { heading: "OF", right: true, text: ({ device }) => memoryText(device.memoryTotalBytes) },
];
