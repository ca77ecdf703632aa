import type { Job } from "../jobs/model/job.ts";
import type { JobGpu } from "../metrics/gpu/gpuUse.ts";
import { type Hindrance, limitText } from "../metrics/hindrance/hindrance.ts";
import { hindranceText } from "../metrics/hindrance/hindranceText.ts";
import type { JobMemory } from "../metrics/jobReading.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { JobMedia } from "../metrics/media/mediaReader.ts";
import type { JobNetwork } from "../metrics/network/networkReader.ts";
import type { Rates } from "../metrics/rates.ts";
import type { JobSample } from "../metrics/sampler.ts";
import type { JobShares } from "../metrics/shares/jobShares.ts";
import { shortfallTextOf } from "../metrics/shares/shortfall.ts";
import type { TenantTotal } from "../metrics/tenants.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { rounded, roundedCores } from "./rounding.ts";
import { userNameOf } from "./userNames.ts";

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
    gpu: gpuJson(sample.gpu),
    ...waitsJson(sample.rates),
    ...detailsJson(sample),
    network: networkJson(sample.network),
    media: mediaJson(sample.media),
    hindrance: hindranceJson(sample.hindrance),
    ...sharesJson(job, sample.shares),
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

export function deviceUseJson({ index, name, device }: DeviceReading) {
  return {
    kind: "gpu" as const,
    index,
    name,
    sm_percent: device.smPercent,
    encoder_percent: device.encoderPercent,
    decoder_percent: device.decoderPercent,
    memory_bytes: device.memoryUsedBytes,
    memory_total_bytes: device.memoryTotalBytes,
  };
}

function gpuJson(gpu: JobGpu | null) {
  if (gpu === null) return null;
  return {
    memory_bytes: gpu.memoryBytes,
    sm_percent: gpu.smPercent,
    encoder_percent: gpu.encoderPercent,
    decoder_percent: gpu.decoderPercent,
    encoder_sessions: gpu.encoderSessions,
  };
}

function ratesJson(rates: TenantTotal["rates"]) {
  return {
    throttled_percent: rounded(rates?.throttledPercent),
    io_read_bytes_per_second: rounded(rates?.readBytesPerSecond),
    io_write_bytes_per_second: rounded(rates?.writeBytesPerSecond),
  };
}

function waitsJson(rates: Rates | null) {
  return {
    cpu_pressure_percent: rounded(rates?.pressure.cpuSomePercent),
    memory_pressure_percent: rounded(rates?.pressure.memorySomePercent),
    memory_full_pressure_percent: rounded(rates?.pressure.memoryFullPercent),
    io_pressure_percent: rounded(rates?.pressure.ioSomePercent),
    io_full_pressure_percent: rounded(rates?.pressure.ioFullPercent),
    cpu_wait_percent: rounded(rates?.cpuWaitPercent),
  };
}

function detailsJson({ details, detailRates }: JobSample) {
  return {
    memory_anonymous_bytes: details.anonymousBytes,
    memory_file_bytes: details.fileBytes,
    memory_peak_bytes: details.memoryPeakBytes,
    oom_kills: details.oomKills,
    task_count: details.taskCount,
    major_faults_per_second: rounded(detailRates?.majorFaultsPerSecond),
    io_read_operations_per_second: rounded(detailRates?.readOperationsPerSecond),
    io_write_operations_per_second: rounded(detailRates?.writeOperationsPerSecond),
  };
}

/** Returns the keys of what a job can rely on. All are `null` for a job whose shares are not known. */
export function sharesJson(job: Pick<Job, "jobId" | "intent">, shares: JobShares | null) {
  const need = shares?.need ?? null;
  return {
    sure_cores: roundedCores(shares?.sureCores),
    need_cores: roundedCores(need?.cores),
    need_sample_seconds: rounded(need?.sampleSeconds),
    need_while_keeping_up: need?.isWhileKeepingUp ?? null,
    cpu_shortfall: shortfallTextOf(job, shares),
  };
}

export function networkJson(network: JobNetwork | null) {
  if (network === null) return null;
  const { bytes, rates, devices } = network;
  return {
    tcp_connections: network.connections,
    tcp_sent_bytes: bytes.sent,
    tcp_received_bytes: bytes.received,
    tcp_retransmitted_bytes: bytes.retransmitted,
    tcp_sent_bytes_per_second: rounded(rates?.sentBytesPerSecond),
    tcp_received_bytes_per_second: rounded(rates?.receivedBytesPerSecond),
    send_backlog_bytes: network.sendBacklogBytes,
    send_backlog_seconds: rounded(network.sendBacklogSeconds),
    receive_backlog_bytes: network.receiveBacklogBytes,
    receiver_limited_percent: rounded(network.windowLimitedPercent),
    device_sent_bytes: devices?.sent ?? null,
    device_received_bytes: devices?.received ?? null,
    device_sent_bytes_per_second: rounded(rates?.deviceSentBytesPerSecond),
    device_received_bytes_per_second: rounded(rates?.deviceReceivedBytesPerSecond),
  };
}

export function mediaJson(media: JobMedia) {
  return {
    source: media.source,
    media_seconds: rounded(media.mediaSeconds),
    length_seconds: rounded(media.lengthSeconds),
    percent: rounded(media.percent),
    percent_is_estimate: media.isEstimate,
    speed: rounded(media.speed?.factor),
    speed_over_seconds: rounded(media.speed === null ? null : media.speed.overMs / 1000),
    remaining_seconds: rounded(media.remainingSeconds),
    state: media.state,
  };
}

export function hindranceJson(hindrance: Hindrance | null) {
  if (hindrance === null) return null;
  const { evidence, limit } = hindrance;
  return {
    verdict: hindrance.verdict,
    text: hindranceText(hindrance),
    since: new Date(hindrance.sinceMs).toISOString(),
    duration_seconds: Math.round(hindrance.forMs / 10) / 100,
    live: hindrance.isLive,
    needed_cores: roundedCores(hindrance.neededCores),
    limit: limitText(limit),
    evidence: {
      speed: rounded(evidence.speed),
      target_speed: evidence.targetSpeed,
      cpu_cores: roundedCores(evidence.cpuCores),
      available_cores: roundedCores(evidence.availableCores),
      other_cores: roundedCores(evidence.otherCores),
      throttled_percent: rounded(evidence.throttledPercent),
      tenant_throttled_percent: rounded(evidence.tenantThrottledPercent),
      cpu_pressure_percent: rounded(evidence.cpuPressurePercent),
      memory_full_pressure_percent: rounded(evidence.memoryFullPercent),
      io_full_pressure_percent: rounded(evidence.ioFullPercent),
      reread_percent: rounded(evidence.rereadPercent),
      send_backlog_seconds: rounded(evidence.sendBacklogSeconds),
      receiver_limited_percent: rounded(evidence.receiverLimitedPercent),
      input_quiet: evidence.isInputQuiet,
      gpu_percent: evidence.gpuPercent,
    },
  };
}

/** Returns the keys of the present use of resources. All are `null` for a job that has ended. */
export function useJson(sample: Pick<JobSample, "rates" | "memory" | "processCount"> | undefined) {
  return {
    cpu_percent: rounded(sample?.rates?.cpuPercent),
    ...memoryJson(sample?.memory),
    process_count: sample?.processCount ?? null,
  };
}

export function memoryJson(memory: JobMemory | undefined) {
  return {
    memory_bytes: memory?.bytes ?? null,
    memory_source: memory?.source ?? null,
    memory_charged_bytes: memory?.chargedBytes ?? null,
    memory_rss_bytes: memory?.rssBytes ?? null,
  };
}
