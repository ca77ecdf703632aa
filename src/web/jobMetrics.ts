import { basename } from "node:path";
import type { OpenJob } from "../jobs/model/job.ts";
import { maskSecrets } from "../jobs/model/secrets.ts";
import type { JobSample } from "../metrics/sampler.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";
import { cpuLimitCores, memoryLimitBytes } from "./limitNumbers.ts";

/** The jobs that have series of their own, unless the operator asks for another number. */
const MAX_JOBS = 500;

/** The value of `job_id` for the sums of the jobs beyond that number. It is the id of no job. */
const OTHERS = "(others)";

/** A job's number, by the values of further labels. `null` is unknown, and absent. */
type Numbers = readonly (readonly [
  labels: Readonly<Record<string, string>>,
  value: number | null | undefined,
])[];

interface JobFamily extends Pick<MetricFamily, "name" | "type" | "help"> {
  read(sample: JobSample): Numbers;
}

const one = (value: number | null | undefined): Numbers => [[{}, value]];
const seconds = (usec: number | null | undefined): number | null =>
  usec === null || usec === undefined ? null : usec / 1e6;

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
    read: ({ job }) => one(cpuLimitCores(job)),
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
    read: ({ job }) => [
      [{ limit: "memory.high" }, memoryLimitBytes(job, "memory.high")],
      [{ limit: "memory.max" }, memoryLimitBytes(job, "memory.max")],
    ],
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
];

/**
 * Returns the families of single jobs. Jobs beyond `maxJobs`, in the order of their ids, are summed under one id, so that the
 * number of series has a limit. No label has a command line, a PID or a URL.
 */
export function jobFamilies(samples: readonly JobSample[], maxJobs = MAX_JOBS): MetricFamily[] {
  const sorted = samples.toSorted((a, b) => (a.job.jobId < b.job.jobId ? -1 : 1));
  const [own, others] = [sorted.slice(0, maxJobs), sorted.slice(maxJobs)];
  const families = FAMILIES.map(({ name, type, help, read }): MetricFamily => {
    const each = own.flatMap((sample) => samplesOf({ job_id: sample.job.jobId }, read(sample)));
    return {
      name,
      type,
      help,
      samples: [...each, ...samplesOf({ job_id: OTHERS }, sumOf(others.map(read)))],
    };
  });
  const info = own.map(({ job }) => ({
    labels: {
      job_id: job.jobId,
      mode: job.mode,
      tenant: job.tenant ?? "",
      command: commandOf(job),
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
