import { basename } from "node:path";
import type { OpenJob } from "../jobs/model/job.ts";
import { maskSecrets } from "../jobs/model/secrets.ts";
import { limitNumbersOf } from "../limits/limitNumbers.ts";
import { idInScheduler } from "../linux/proc/schedulers.ts";
import type { JobGpu } from "../metrics/gpu/gpuUse.ts";
import { paceByIntent } from "../metrics/hindrance/pace.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";

/** The jobs that have series of their own, unless the operator asks for another number. */
export const MAX_JOBS = 500;

/** The value of `job_id` for the sums of the jobs beyond that number. It is the id of no job. */
const OTHERS = "(others)";

/** A job's number, by the values of further labels. `null` is unknown, and absent. */
type Numbers = readonly (readonly [
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
const FAMILIES: readonly JobFamily[] = [
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

/**
 * Returns the families of single jobs: of running ones, and the counters of those that have ended lately, whose last values
 * a scrape would miss otherwise. The gauges of running jobs beyond `maxJobs`, in the order of their ids, are summed under one
 * id, and so many ended jobs are left out, so that the number of series has a limit. No label has a command line, a PID or a
 * URL.
 */
export function jobFamilies(
  uses: readonly JobUse[],
  ended: readonly JobUse[],
  maxJobs = MAX_JOBS,
): MetricFamily[] {
  const sorted = uses.toSorted(byId);
  const [own, others] = [sorted.slice(0, maxJobs), sorted.slice(maxJobs)];
  const past = lastOfEach(uses, ended).slice(0, maxJobs - own.length);
  const families = FAMILIES.map(({ name, type, help, isSingle, read }): MetricFamily => {
    const shown = type === "counter" ? [...own, ...past] : own;
    const each = shown.flatMap((use) => samplesOf({ job_id: use.job.jobId }, read(use)));
    // A sum of counters falls when one of the jobs ends. Prometheus would take that for a reset, and count the rest again.
    const hasSum = type === "gauge" && !isSingle;
    const sum = hasSum ? samplesOf({ job_id: OTHERS }, sumOf(others.map(read))) : [];
    return { name, type, help, samples: [...each, ...sum] };
  });
  const info = [...own, ...past].map(({ job, pace }) => ({
    labels: {
      job_id: job.jobId,
      mode: job.mode,
      tenant: job.tenant ?? "",
      command: commandOf(job),
      scheduler: job.labels["scheduler"] ?? "",
      scheduler_id: idInScheduler(job.labels) ?? "",
      kind: pace !== null && paceByIntent(pace, job.intent).targetSpeed !== null ? "live" : "",
    },
    value: 1,
  }));
  return [
    {
      name: "ffrtmp_job_info",
      type: "gauge",
      help: "A constant 1 with facts of a job: join by job_id.",
      samples: info,
    },
    {
      name: "ffrtmp_jobs_not_exported",
      type: "gauge",
      help: `Observed jobs without series of their own, whose sums have job_id="${OTHERS}".`,
      samples: [{ value: others.length }],
    },
    ...families,
  ];
}

const byId = (a: JobUse, b: JobUse) => (a.job.jobId < b.job.jobId ? -1 : 1);

/** An id can be that of several ended jobs and of a running one, and each series is there once. The latest is the last. */
function lastOfEach(uses: readonly JobUse[], ended: readonly JobUse[]): JobUse[] {
  const last = new Map(ended.map((use) => [use.job.jobId, use]));
  for (const { job } of uses) last.delete(job.jobId);
  return [...last.values()].toSorted(byId);
}

/**
 * Returns the name of the program. The last part of a URL, which is no program, can be a stream key. A process that gave
 * itself a title has it as its only word, and may have put its whole command line into it.
 */
function commandOf({ command }: OpenJob): string {
  const [first = "", ...others] = maskSecrets(command);
  if (first.includes("://")) return "";
  return basename(others.length === 0 ? (first.split(" ")[0] as string) : first);
}

function samplesOf(job: Readonly<Record<string, string>>, numbers: Numbers): MetricSample[] {
  return numbers.flatMap(([labels, value]) =>
    value === null || value === undefined ? [] : [{ labels: { ...job, ...labels }, value }],
  );
}

/** The sum of several jobs has the numbers that are known of all of them. */
function sumOf(jobs: readonly Numbers[]): Numbers {
  const [first = []] = jobs;
  return first.map(([labels], index) => {
    const values = jobs.map((numbers) => numbers[index]?.[1] ?? null);
    const sum = values.reduce((total, value) => (total === null || value === null ? null : total + value), 0);
    return [labels, sum] as const;
  });
}
