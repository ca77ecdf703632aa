import { basename } from "node:path";
import type { OpenJob } from "../jobs/model/job.ts";
import { maskSecrets } from "../jobs/model/secrets.ts";
import { idInScheduler } from "../linux/proc/schedulers.ts";
import { paceByIntent } from "../metrics/hindrance/pace.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";
import { JOB_FAMILIES, type Numbers } from "./jobMetricTable.ts";

/** The jobs that have series of their own, unless the operator asks for another number. */
export const MAX_JOBS = 500;

/** The value of `job_id` for the sums of the jobs beyond that number. It is the id of no job. */
const OTHERS = "(others)";

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
  const families = JOB_FAMILIES.map(({ name, type, help, isSingle, read }): MetricFamily => {
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
