import type { Context } from "../../jobs/context.ts";
import { formatDuration } from "../../jobs/duration.ts";
import type { JobResult } from "../../jobs/model/ending.ts";
import type { Job } from "../../jobs/model/job.ts";
import { outcomeOf } from "../../jobs/model/outcome.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { isObserved } from "../../jobs/recovery/recover.ts";
import { exitText } from "../../jobs/summary.ts";
import type { ListedJob } from "../../json/listedJob.ts";
import { userNameOf } from "../../json/userNames.ts";
import { idInScheduler } from "../../linux/proc/schedulers.ts";
import { shortHindranceText } from "../../metrics/hindrance/hindranceText.ts";
import type { JobSample } from "../../metrics/sampler.ts";
import { memoryText, percentText } from "./amounts.ts";
import { limitCountText, limitsText } from "./limitText.ts";
import { needColumn, sureColumn } from "./shareColumns.ts";
import type { Column } from "./table.ts";

/** The orders of `--sort`: amounts from the largest, names from a to z. */
export type JobOrder = "cpu" | "memory" | "since" | "job" | "tenant" | "user";

interface Shown {
  /** The outcome is the first column. */
  all?: boolean;
  isAnyHindered?: boolean;
  /** A scheduler has started one of the jobs. */
  isAnyScheduled?: boolean;
  /** The share or the need of a job is known. */
  hasShares?: boolean;
}

/** Returns the columns of `ps`. */
export function jobColumns(
  context: Context,
  { all = false, isAnyHindered = false, isAnyScheduled = false, hasShares = false }: Shown,
): Column<ListedJob>[] {
  const scheduler: Column<ListedJob> = {
    heading: "SCHEDULER",
    yields: 1,
    text: ({ job: { labels } }) =>
      [labels["scheduler"] ?? "-", idInScheduler(labels)].filter(Boolean).join(" "),
  };
  const heldBackBy: Column<ListedJob> = {
    heading: "HELD BACK BY",
    yields: 10,
    text: ({ hindrance }) => shortHindranceText(hindrance ?? null),
  };
  const outcome: Column<ListedJob> = {
    heading: "OUTCOME",
    text: ({ job, result }) => (result ? outcomeOf(result.ending) : job.state),
  };
  const exit: Column<ListedJob> = {
    heading: "EXIT",
    yields: 4,
    text: ({ result }) => (result && result.ending.kind !== "detached" ? exitText(result) : "-"),
  };
  return [
    ...(all ? [outcome, exit] : []),
    { heading: "JOB", text: ({ job }) => job.jobId },
    { heading: "PID", right: true, text: ({ job }) => job.process?.pid.toString() ?? "-" },
    { heading: "USER", yields: 5, text: ({ job }) => userNameOf(job.uid) ?? "-" },
    { heading: "TENANT", yields: 8, text: ({ job }) => job.tenant ?? "-" },
    { heading: "MODE", yields: 2, text: ({ job }) => job.mode },
    { heading: "SINCE", right: true, yields: 9, text: (listed) => sinceText(context, listed) },
    {
      heading: "CPU %",
      right: true,
      text: ({ sample }) => percentText(sample?.rates?.cpuPercent ?? null),
    },
    {
      heading: "MEMORY",
      right: true,
      text: ({ sample }) => memoryUseText(sample),
      short: { yields: 6, text: ({ sample }) => memoryText(sample?.memory.bytes ?? null) },
    },
    ...(hasShares ? [sureColumn(4), needColumn(4)] : []),
    {
      heading: "LIMITS",
      yields: 7,
      text: ({ job }) => limitsText(job.outcomes),
      short: { yields: 3, text: ({ job }) => limitCountText(job.outcomes) },
    },
    ...(isAnyHindered ? [heldBackBy] : []),
    ...(isAnyScheduled ? [scheduler] : []),
    { heading: "OBSERVER", yields: 1, text: ({ job }) => observerText(context, job) },
    { heading: "COMMAND", flexible: true, text: ({ job }) => shownCommand(job).command.join(" ") },
  ];
}

/** Returns the memory in use, and `rss` where it is that of the processes and not that of the job's cgroup. */
export function memoryUseText(sample: Pick<JobSample, "memory"> | undefined): string {
  const { bytes = null, source } = sample?.memory ?? {};
  return source === "rss" ? `${memoryText(bytes)} rss` : memoryText(bytes);
}

function observerText(context: Context, job: Job): string {
  if (job.state === "ended") return "-";
  return isObserved(context, job) ? `PID ${job.observer?.pid}` : "none";
}

/** Returns how long a job has been governed, or how long ago it ended. */
function sinceText(context: Context, { job, result }: ListedJob): string {
  const since = sinceMs(context, job, result);
  if (since === null) return "-";
  // It ended before that time, which is all that is known.
  return `${result && result.endedBeforeMs !== null ? "≥ " : ""}${formatDuration(since)}`;
}

function sinceMs({ host, bootId }: Context, job: Job, result?: JobResult): number | null {
  if (job.state === "starting") return null;
  if (job.state === "running") {
    const isExact = job.startedBootMs !== null && job.process.bootId === bootId;
    return isExact ? host.bootNow() - (job.startedBootMs as number) : host.now() - job.startedMs;
  }
  return result ? host.now() - (result.endedBeforeMs ?? result.endMs) : null;
}

/** Returns the comparison for an order. What is unknown is last. */
export function compareJobs(context: Context, order: JobOrder): (a: ListedJob, b: ListedJob) => number {
  const amountOf: Partial<Record<JobOrder, (listed: ListedJob) => number | null | undefined>> = {
    cpu: ({ sample }) => sample?.rates?.cpuPercent,
    memory: ({ sample }) => sample?.memory.bytes,
    since: ({ job, result }) => sinceMs(context, job, result),
  };
  const amount = amountOf[order];
  if (amount) return (a, b) => (amount(b) ?? -1) - (amount(a) ?? -1);
  const nameOf = ({ job }: ListedJob): string | null =>
    order === "job" ? job.jobId : order === "tenant" ? job.tenant : userNameOf(job.uid);
  return (a, b) => {
    const [x, y] = [nameOf(a), nameOf(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return x.localeCompare(y);
  };
}
