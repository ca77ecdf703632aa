import type { ScreenData, ScreenJob } from "../../src/cli/top/screenData.ts";
import { tenantsOf } from "../../src/cli/top/screenData.ts";
import { Track } from "../../src/cli/top/track.ts";
import type { RunningJob } from "../../src/jobs/model/job.ts";
import { jobUseJson } from "../../src/json/jobUse.ts";
import type { JobUse } from "../../src/metrics/jobUse.ts";
import { type JobMedia, NO_MEDIA } from "../../src/metrics/media/mediaReader.ts";
import type { JobNetwork } from "../../src/metrics/network/networkReader.ts";
import { someEndedJob, someJob, someResult } from "./jobs.ts";
import { IDLE_NETWORK, someUse } from "./samples.ts";

/** CLOCK_BOOTTIME of every screen. */
const AT_BOOT_MS = 3_600_000;

export interface SomeRow extends Omit<Partial<RunningJob>, "limits"> {
  cores?: number | null;
  quota?: number;
  memoryMax?: number;
  throttled?: number;
  media?: Partial<JobMedia>;
  network?: Partial<JobNetwork> | null;
  gpu?: JobUse["gpu"];
  hindrance?: string;
  isLive?: boolean;
  /** The speed in the last 10 minutes, in equal parts; the CPU use is the same part of `cores`. */
  history?: readonly number[];
}

/** A job of a screen with the values that a test wants. */
export function someRow(jobId: string, wanted: SomeRow = {}): ScreenJob {
  const {
    cores = 1,
    quota,
    memoryMax,
    throttled = 0,
    media,
    network,
    gpu,
    hindrance,
    isLive,
    history,
    ...rest
  } = wanted;
  const job = someJob({
    jobId,
    outcomes: [
      ...(quota === undefined ? [] : [applied("cpu.max", `${quota * 100_000} 100000`)]),
      ...(memoryMax === undefined ? [] : [applied("memory.max", String(memoryMax))]),
    ],
    ...rest,
  });
  const use = someUse(
    job,
    {},
    {
      rates: ratesOf(cores, throttled),
      intervalMs: 1000,
      ...(media && { media: { ...NO_MEDIA, state: "running", ...media } }),
      ...(network === undefined ? {} : { network: network && { ...IDLE_NETWORK, ...network } }),
      ...(gpu === undefined ? {} : { gpu }),
    },
  );
  const track = new Track();
  const parts = history ?? [1];
  for (const [index, part] of parts.entries()) {
    const lengthMs = (history === undefined ? 120_000 : 600_000) / parts.length;
    const endBootMs = AT_BOOT_MS - (parts.length - 1 - index) * lengthMs;
    track.add({
      startBootMs: endBootMs - lengthMs,
      endBootMs,
      cores: cores === null ? null : cores * (history === undefined ? 1 : part),
      speed: history === undefined ? null : part,
      sent: use.network?.rates?.sentBytesPerSecond ?? null,
    });
  }
  const json = jobUseJson(use);
  const shown =
    hindrance === undefined
      ? json
      : { ...json, hindrance: { ...SOME_HINDRANCE, text: hindrance, live: isLive ?? false } };
  return {
    host: null,
    job,
    command: job.command,
    use: shown,
    track,
    isLive: isLive ?? false,
    hindrance: hindrance ?? null,
  };
}

/** A screen of these jobs on a machine with 16 CPUs. */
export function someScreen(jobs: readonly ScreenJob[], different: Partial<ScreenData> = {}): ScreenData {
  const ended = someEndedJob({ jobId: "clip-771" });
  const atMs = new Date(2026, 10, 27, 14, 7, 42).getTime();
  return {
    atMs,
    atBootMs: AT_BOOT_MS,
    hostname: "edge-03",
    hosts: null,
    intervalMs: 1000,
    source: "own",
    sourceNote: null,
    jobs,
    tenants: tenantsOf(jobs, AT_BOOT_MS),
    devices: [],
    machine: {
      cpuCount: 16,
      cpuTicks: null,
      memoryUsedBytes: 11.2 * 2 ** 30,
      memoryTotalBytes: 64 * 2 ** 30,
      cpuWaitPercent: 4,
      memoryWaitPercent: 0,
    },
    busyPercent: 62,
    slaPercent: 99.87,
    ended: [{ job: ended, result: someResult(ended, { endMs: atMs - 11_000 }) }],
    ...different,
  };
}

function applied(limit: "cpu.max" | "memory.max", value: string) {
  return { limit, outcome: "applied" as const, wanted: value, actual: value };
}

function ratesOf(cores: number | null, throttledPercent: number): JobUse["rates"] {
  return {
    cpuPercent: cores && 100 * cores,
    throttledPercent,
    readBytesPerSecond: 0,
    writeBytesPerSecond: null,
    pressure: {
      cpuSomePercent: 87,
      memorySomePercent: 0,
      memoryFullPercent: 0,
      ioSomePercent: null,
      ioFullPercent: null,
    },
    cpuWaitPercent: null,
  };
}

const SOME_HINDRANCE = {
  verdict: "own_limit" as const,
  text: "",
  since: "2026-11-27T14:04:32.000Z",
  duration_seconds: 190,
  live: true,
  needed_cores: 2.4,
  limit: "cpu.max",
  evidence: {
    speed: 0.63,
    target_speed: 1,
    cpu_cores: 1.46,
    available_cores: 1.5,
    other_cores: 3,
    throttled_percent: 93,
    tenant_throttled_percent: null,
    cpu_pressure_percent: 87,
    memory_full_pressure_percent: 0,
    io_full_pressure_percent: 0,
    reread_percent: null,
    send_backlog_seconds: null,
    receiver_limited_percent: null,
    input_quiet: null,
    gpu_percent: null,
  },
};
