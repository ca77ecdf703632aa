import { askDaemon } from "../../daemon/askDaemon.ts";
import { readDaemonReport } from "../../daemon/status.ts";
import type { Context } from "../../jobs/context.ts";
import { isoTime } from "../../jobs/json.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { repairAll } from "../../jobs/recovery/recover.ts";
import { type ListedJob, listedJobJson } from "../../json/listedJob.ts";
import type { Hindrance } from "../../metrics/hindrance/hindrance.ts";
import { JobSampler } from "../../metrics/sampler.ts";
import { shortfallTextOf } from "../../metrics/shares/shortfall.ts";
import { askShares, type SharesByKey } from "../daemonShares.ts";
import { parseJobFilter, type RecordedJob } from "../options/jobFilter.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { explainNoneOpen, noteForeignJobs } from "../output/emptyState.ts";
import { compareJobs, type JobOrder, jobColumns } from "../output/jobTable.ts";
import { printJson, printOut, warn } from "../output/messages.ts";
import { renderTable } from "../output/table.ts";
import { tableWidth } from "../output/terminal.ts";
import { openToRead, requireRecords } from "../session.ts";

export interface PsFlags extends CommonFlags {
  daemon?: boolean;
  all?: boolean;
  quiet?: boolean;
  filter?: string[];
  sort?: JobOrder;
  limit: number;
  trunc?: boolean;
}

/** The time over which CPU use is measured: two periods of a CPU quota, so that a quota shows as what it is. */
const SAMPLE_MS = 200;
/** A daemon that does not answer must not delay the list. */
const ANSWER_TIMEOUT_MS = 500;
/** Filters are compared with at most this many ended jobs, the latest ones. */
const MAX_SEARCHED = 10_000;
/** The number of further ended jobs that is counted. */
const MAX_COUNTED = 10_000;

export async function ps(flags: PsFlags): Promise<number> {
  const filters = (flags.filter ?? []).map(parseJobFilter);
  const context = openToRead(flags);
  if (flags.daemon) {
    const { psDaemon } = await import("./psDaemon.ts");
    return psDaemon(context, flags.json ?? false);
  }
  repairAll(context);
  const { sort } = flags;
  const all = flags.all || filters.some(({ isOfEnded }) => isOfEnded);
  const isListed = (recorded: RecordedJob) => filters.every((filter) => filter.matches(recorded));
  const open = context.ledger.openJobs().filter((job) => isListed({ job }));
  const ended = all ? listEnded(context, filters.length > 0 ? isListed : undefined, flags.limit) : [];
  const [measured, hindrances, shares] = await Promise.all([
    measure(context, open, flags),
    askHindrances(context, flags),
    askJobShares(context, flags),
  ]);
  const running = measured.map((each) => ({
    ...each,
    hindrance: hindrances[each.job.key] ?? null,
    shares: shares[each.job.key] ?? null,
  }));
  const listed: ListedJob[] = [...running, ...ended];
  if (sort) listed.sort(compareJobs(context, sort));
  if (flags.quiet) printIds(listed);
  else if (flags.json) printJson(listed.map(listedJobJson));
  else
    printOut(
      renderTable(
        jobColumns(context, {
          all,
          isAnyHindered: Object.keys(hindrances).length > 0,
          isAnyScheduled: listed.some(({ job }) => job.labels["scheduler"] !== undefined),
          hasShares: running.some(({ shares }) => shares?.sureCores != null || shares?.need != null),
        }),
        listed,
        tableWidth(flags),
      ),
    );
  for (const { job, shares } of running) {
    const text = shortfallTextOf(job, shares);
    if (text !== null) warn(text);
  }
  warnOfInvalidPolicy(context);
  if (listed.length === 0) explainNoneOpen(context);
  else if (context.ledger.isMissing)
    warn(`there is no ledger ${context.ledger.path}: these jobs are known from their cgroups alone`);
  noteForeignJobs(context);
  context.ledger.close();
  // With an unreadable ledger, the jobs that their cgroups reveal are shown before the failure.
  requireRecords(context);
  return 0;
}

/** Returns the jobs that have ended, the latest first, and says how many there are beside them. */
function listEnded(
  { ledger }: Context,
  isListed: ((recorded: RecordedJob) => boolean) | undefined,
  limit: number,
): ListedJob[] {
  const searched = ledger.history(isListed ? MAX_SEARCHED : limit);
  const found = isListed ? searched.filter(isListed) : searched;
  const older = ledger.countEnded(searched.length + MAX_COUNTED) - searched.length;
  const more = isListed ? found.length - limit : older;
  const parts = [
    ...(more > 0 ? [`${atLeast(more)} more ended jobs ${isListed ? "match" : "are not listed"}`] : []),
    ...(isListed && older > 0 ? [`${atLeast(older)} older ones were not compared with the filter`] : []),
  ];
  if (parts.length > 0) warn(`${parts.join("; ")}. To list more: -n, or ffrtmp history`);
  return found.slice(0, limit);
}

function atLeast(count: number): string {
  return count === MAX_COUNTED ? `at least ${count}` : String(count);
}

/** Reads what these jobs use, twice if the CPU use is wanted. Ids alone need no reading, and no wait. */
async function measure(context: Context, jobs: readonly OpenJob[], flags: PsFlags): Promise<ListedJob[]> {
  const { quiet, sort } = flags;
  if (jobs.length === 0 || (quiet && sort !== "cpu" && sort !== "memory"))
    return jobs.map((job) => ({ job }));
  const sampler = new JobSampler(context);
  const startMs = performance.now();
  const first = sampler.sample(jobs);
  if (quiet && sort === "memory") return first.map((sample) => ({ job: sample.job, sample }));
  // Each job is read again SAMPLE_MS after its own first reading.
  await Bun.sleep(Math.max(0, startMs + SAMPLE_MS - performance.now()));
  return sampler.sample(jobs).map((sample) => ({ job: sample.job, sample }));
}

/** Asks the daemon what holds jobs back, by their keys. Without its answer, nothing is known. */
async function askHindrances({ state }: Context, { quiet }: PsFlags): Promise<Record<string, Hindrance>> {
  if (quiet) return {};
  const answer = await askDaemon(state, { request: "hindrances" }, ANSWER_TIMEOUT_MS);
  return typeof answer === "object" && answer.ok ? (answer["hindrances"] as Record<string, Hindrance>) : {};
}

async function askJobShares(context: Context, { quiet }: PsFlags): Promise<SharesByKey> {
  return quiet ? {} : askShares(context);
}

function printIds(listed: readonly ListedJob[]): void {
  if (listed.length > 0) printOut(listed.map(({ job }) => job.jobId).join("\n"));
}

/** Warns if the policy file of a running daemon has errors, so that an earlier policy is in force. */
function warnOfInvalidPolicy(context: Context): void {
  const report = readDaemonReport(context);
  if (report?.state !== "running" || report.policy.faults.length === 0) return;
  const { path, loadedMs, faults } = report.policy;
  const consequence = `the policy of ${isoTime(loadedMs)} stays in force`;
  warn(`${path} is NOT VALID, and ${consequence}: ${faults[0]}. See: ffrtmp policy check ${path}`);
}
