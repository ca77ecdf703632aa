import { limitNumbersOf } from "../limits/limitNumbers.ts";
import type { JobGpu } from "../metrics/gpu/gpuUse.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { MetricFamily } from "./exposition.ts";

/** A job's number, by the values of further labels. `null` is unknown, and absent. */
export type Numbers = readonly (readonly [
  labels: Readonly<Record<string, string>>,
  value: number | null | undefined,
])[];

interface JobFamily extends Pick<MetricFamily, "name" | "type" | "help"> {
  /** The gauge of several jobs together means nothing. */
  isSingle?: true;
  read(use: JobUse): Numbers;
}

const one = (value: number | null | undefined): Numbers => [[{}, value]];
const seconds = (usec: number | null | undefined): number | null =>
  usec === null || usec === undefined ? null : usec / 1e6;

const share = (percent: number | null | undefined): number | null =>
  percent === null || percent === undefined ? null : percent / 100;

/** Returns the parts of NVIDIA devices that are used, by their engines. */
export function utilization(
  use: Pick<JobGpu, "smPercent" | "encoderPercent" | "decoderPercent"> | undefined,
): Numbers {
  return [
    [{ engine: "sm" }, share(use?.smPercent)],
    [{ engine: "encoder" }, share(use?.encoderPercent)],
    [{ engine: "decoder" }, share(use?.decoderPercent)],
  ];
}

/** Counters are those of the kernel, not rates: Prometheus makes rates over any span from them. */
export const JOB_FAMILIES: readonly JobFamily[] = [
  {
    name: "ffrtmp_job_cpu_seconds",
    type: "counter",
    help: "CPU time, user and system.",
    read: ({ now }) => one(seconds(now.counters.cpuUsec)),
  },
  {
    name: "ffrtmp_job_cpu_periods",
    type: "counter",
    help: "Periods of the CPU quota in which the job could run.",
    read: ({ now }) => one(now.counters.quotaPeriods),
  },
  {
    name: "ffrtmp_job_cpu_throttled_periods",
    type: "counter",
    help: "Periods of the CPU quota in which the quota stopped the job.",
    read: ({ now }) => one(now.counters.throttledPeriods),
  },
  {
    name: "ffrtmp_job_cpu_limit_cores",
    type: "gauge",
    help: "CPU quota of the job in cores; absent without one.",
    read: ({ job }) => one(limitNumbersOf(job.outcomes).cpuCores),
  },
  {
    name: "ffrtmp_job_pressure_waiting_seconds",
    type: "counter",
    help: "Time in which at least one thread waited for the resource.",
    read: ({ now: { counters } }) => [
      [{ resource: "cpu" }, seconds(counters.cpuPressureUsec)],
      [{ resource: "memory" }, seconds(counters.memoryPressureUsec)],
      [{ resource: "io" }, seconds(counters.ioPressureUsec)],
    ],
  },
  {
    name: "ffrtmp_job_pressure_stalled_seconds",
    type: "counter",
    help: "Time in which all threads that could have run waited for the resource.",
    read: ({ now: { counters } }) => [
      [{ resource: "memory" }, seconds(counters.memoryFullPressureUsec)],
      [{ resource: "io" }, seconds(counters.ioFullPressureUsec)],
    ],
  },
  {
    name: "ffrtmp_job_memory_bytes",
    type: "gauge",
    help: "Memory in use, as ffrtmp ps shows it.",
    read: ({ memory }) => one(memory.bytes),
  },
  {
    name: "ffrtmp_job_memory_limit_bytes",
    type: "gauge",
    help: "Memory limit of the job; absent without one.",
    read({ job }) {
      const { memoryHighBytes, memoryMaxBytes } = limitNumbersOf(job.outcomes);
      return [
        [{ limit: "memory.high" }, memoryHighBytes],
        [{ limit: "memory.max" }, memoryMaxBytes],
      ];
    },
  },
  {
    name: "ffrtmp_job_oom_kills",
    type: "counter",
    help: "Processes of the job that the OOM killer of the kernel ended.",
    read: ({ details }) => one(details.oomKills),
  },
  {
    name: "ffrtmp_job_io_bytes",
    type: "counter",
    help: "Data read from and written to block devices.",
    read: ({ now: { counters } }) => [
      [{ direction: "read" }, counters.ioReadBytes],
      [{ direction: "written" }, counters.ioWriteBytes],
    ],
  },
  {
    name: "ffrtmp_job_processes",
    type: "gauge",
    help: "Processes in the job.",
    read: ({ processCount }) => one(processCount),
  },
  {
    name: "ffrtmp_job_network_tcp_bytes",
    type: "counter",
    help: "Bytes over TCP connections of the job that were acknowledged or received.",
    read: ({ network }) => [
      [{ direction: "sent" }, network?.bytes.sent],
      [{ direction: "received" }, network?.bytes.received],
    ],
  },
  {
    name: "ffrtmp_job_network_retransmitted_bytes",
    type: "counter",
    help: "Bytes over TCP connections of the job that were sent again.",
    read: ({ network }) => one(network?.bytes.retransmitted),
  },
  {
    name: "ffrtmp_job_network_send_backlog_bytes",
    type: "gauge",
    help: "Bytes that the job has written and the receivers have not acknowledged.",
    read: ({ network }) => one(network?.sendBacklogBytes),
  },
  {
    name: "ffrtmp_job_network_receive_backlog_bytes",
    type: "gauge",
    help: "Bytes that have arrived and the job has not read.",
    read: ({ network }) => one(network?.receiveBacklogBytes),
  },
  {
    name: "ffrtmp_job_network_send_backlog_seconds",
    type: "gauge",
    help: "The unacknowledged bytes in seconds at the rate at which the job writes; of the connection with the most.",
    isSingle: true,
    read: ({ network }) => one(network?.sendBacklogSeconds),
  },
  {
    name: "ffrtmp_job_network_receiver_limited_seconds",
    type: "counter",
    help: "Time in which the receivers' windows held the sending back, of all connections together.",
    read: ({ network }) => one(seconds(network?.windowLimitedUsec)),
  },
  {
    name: "ffrtmp_job_network_device_bytes",
    type: "counter",
    help: "Bytes of all protocols, of a job that has a network namespace alone.",
    read: ({ network }) => [
      [{ direction: "sent" }, network?.devices?.sent],
      [{ direction: "received" }, network?.devices?.received],
    ],
  },
  {
    name: "ffrtmp_job_media_seconds",
    type: "counter",
    help: "Media time that the job has processed. Its rate is the speed.",
    read: ({ media }) => [[{ source: media.source }, media.mediaSeconds]],
  },
  {
    name: "ffrtmp_sure_cores",
    type: "gauge",
    help: "Cores that the job gets when everything that runs now is busy.",
    read: ({ shares }) => one(shares?.sureCores),
  },
  {
    name: "ffrtmp_need_cores",
    type: "gauge",
    help: "95th percentile of the cores that the job uses in a second while it keeps up with real time.",
    isSingle: true,
    read: ({ shares }) => one(shares?.need?.cores),
  },
  {
    name: "ffrtmp_job_media_speed_ratio",
    type: "gauge",
    help: "Media time per time, over the last 15 s. 1 is real time.",
    isSingle: true,
    read: ({ media }) => [[{ source: media.source }, media.speed?.factor]],
  },
  {
    name: "ffrtmp_job_progress_ratio",
    type: "gauge",
    help: "The part of the input that is processed. Absent where there is no end.",
    isSingle: true,
    read: ({ media }) => [[{ source: media.source }, share(media.percent)]],
  },
  {
    name: "ffrtmp_job_frames",
    type: "counter",
    help: "Video frames that ffmpeg has put out.",
    read: ({ media }) => one(media.frames),
  },
  {
    name: "ffrtmp_job_frames_dropped",
    type: "counter",
    help: "Video frames that ffmpeg has dropped.",
    read: ({ media }) => one(media.droppedFrames),
  },
  {
    name: "ffrtmp_job_gpu_memory_bytes",
    type: "gauge",
    help: "Memory of NVIDIA devices that the job uses.",
    read: ({ gpu }) => one(gpu?.memoryBytes),
  },
  {
    name: "ffrtmp_job_gpu_utilization_ratio",
    type: "gauge",
    help: "The part of an NVIDIA device that the job uses; the sum of all devices.",
    read: ({ gpu }) => utilization(gpu ?? undefined),
  },
  {
    name: "ffrtmp_job_gpu_encoder_sessions",
    type: "gauge",
    help: "Sessions of NVENC that the job has open.",
    read: ({ gpu }) => one(gpu?.encoderSessions),
  },
  {
    name: "ffrtmp_job_hindered",
    type: "gauge",
    help: "A constant 1 for what holds the job back now.",
    // A job has the series of one reason only.
    isSingle: true,
    read: ({ hindrance }) => (hindrance === null ? [] : [[{ reason: hindrance.verdict }, 1]]),
  },
];
