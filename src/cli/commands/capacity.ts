import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { isOpen, type Job, type OpenJob } from "../../jobs/model/job.ts";
import { jobCgroupOf } from "../../jobs/placement/jobCgroup.ts";
import { capacityJson } from "../../json/capacity.ts";
import { readCpuShare } from "../../linux/cgroup/cpuDivision.ts";
import { tenantCgroupOf } from "../../linux/cgroup/jobCgroup.ts";
import { isAlive } from "../../linux/proc/identity.ts";
import { bindingOf, type Capacity } from "../../metrics/capacity/answer.ts";
import { type Bound, boundOf, placeIn, USABLE, weightsBound } from "../../metrics/capacity/capacity.ts";
import {
  type Peak,
  peakOf,
  peakOfSum,
  type Series,
  samplesOf,
  whileKeepingUp,
} from "../../metrics/capacity/together.ts";
import { readCpus } from "../../metrics/machine.ts";
import { mayWait } from "../../metrics/shares/jobNeeds.ts";
import { MIN_SAMPLES } from "../../metrics/shares/need.ts";
import { ShareTreeReader } from "../../metrics/shares/shareTree.ts";
import { placeOf } from "../../metrics/shares/sureCores.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { capacityText } from "../output/capacityText.ts";
import { printJson, printOut } from "../output/messages.ts";
import { openToRead, requireRecords } from "../session.ts";
import { askUsage, doesDaemonAnswer } from "../usageRings.ts";

/** The jobs of a rule that are looked at, the latest. */
const MAX_ENDED = 500;
const MAX_OF_RULE = 20;
/** Between two readings of what competes. */
const TREE_MS = 1000;

interface Measured {
  readonly job: Job;
  /** The last 10 minutes of a running job, or else its whole life. */
  readonly series: Series;
}

/** Answers how many more streams fit. An answer is advice: the exit code says nothing about it. */
export async function capacity(flags: CommonFlags & { like?: string }): Promise<number> {
  const context = openToRead(flags);
  requireRecords(context);
  const { ledger, host } = context;
  const open = ledger.openJobs().filter(({ process }) => process !== null && isAlive(host, process));
  const like = flags.like === undefined ? undefined : findLike(context, flags.like);
  const running = await measureAll(
    context,
    open.filter((job) => !mayWait(job)),
  );
  const alike = like && (await measureAll(context, like.jobs));
  const answer = await answerFor(
    context,
    open,
    running,
    like && alike ? { name: like.name, alike } : undefined,
  );
  if (flags.json) printJson(capacityJson(answer));
  else printOut(capacityText(answer, readCpus(host).cpuCount));
  ledger.close();
  return 0;
}

/** Returns the job with this id, or the latest jobs that a rule with this name has chosen. Throws a Refusal. */
function findLike({ ledger, state }: Context, name: string): { name: string; jobs: Job[] } {
  const named = ledger.jobsNamed(name);
  const job = named.find(isOpen) ?? named[0];
  if (job !== undefined) return { name: job.jobId, jobs: [job] };
  const ended = ledger.history(MAX_ENDED).map((each) => each.job);
  const ofRule = [...ledger.openJobs(), ...ended].filter(({ decidedBy }) => decidedBy === `rule ${name}`);
  if (ofRule.length > 0) return { name: `rule ${name}`, jobs: ofRule.slice(0, MAX_OF_RULE) };
  throw new Refusal(
    `no job has the id ${name}, and none of the last ${MAX_ENDED} was chosen by a rule with that name, in ${state.ledger}`,
    "ffrtmp ps --all, ffrtmp inspect JOB",
  );
}

async function measureAll(context: Context, jobs: readonly Job[]): Promise<Measured[]> {
  const measured: Measured[] = [];
  const asksDaemon = jobs.some(isOpen) && (await doesDaemonAnswer(context));
  // One after the other: the daemon answers in a few ms.
  for (const job of jobs) {
    const { tenMinutes, life } = (await askUsage(context, job, { asksDaemon })).rings;
    const isEnough = (tenMinutes?.points.length ?? 0) >= MIN_SAMPLES;
    const points = (isEnough ? tenMinutes : life)?.points ?? tenMinutes?.points ?? [];
    measured.push({ job, series: { points } });
  }
  return measured;
}

async function answerFor(
  context: Context,
  open: readonly OpenJob[],
  running: readonly Measured[],
  like: { name: string; alike: readonly Measured[] } | undefined,
): Promise<Capacity> {
  const unknown: string[] = [];
  const largest = like ?? largestOf(running);
  const candidate =
    largest && peakOf(largest.alike.flatMap(({ series }) => samplesOf(whileKeepingUp(series))));
  if (largest === undefined)
    unknown.push(
      "what a further stream would use: none that runs is measured; name an earlier job with --like JOB",
    );
  else if (candidate === undefined) unknown.push(tooFewText(largest.name, largest.alike));
  else if (candidate.cores <= 0) unknown.push(`${largest.name} used no CPU time`);
  const together = peakOfSum(running.map(({ series }) => series));
  for (const each of together === undefined ? running : [])
    if (peakOf(samplesOf(each.series)) === undefined) unknown.push(tooFewText(each.job.jobId, [each]));
  const known = { like: largest?.name ?? null, candidate: candidate ?? null, running: together ?? null };
  const streams = running.map(({ job }) => job.jobId);
  if (largest === undefined || candidate === undefined || together === undefined || candidate.cores <= 0)
    return { ...known, streams, fits: null, bounds: [], unknown };
  const cores = readCpus(context.host).cpuCount;
  const bounds = [boundOf("cores", USABLE * cores, together.cores, candidate.cores)];
  const model = largest.alike[0]?.job;
  const total = tenantBound(context, model, running, candidate.cores);
  if (typeof total === "string") unknown.push(total);
  else if (total !== undefined) bounds.push(total);
  const most = Math.min(...bounds.map(({ fits }) => fits));
  const weights = await boundOfWeights(context, open, running, { model, candidate, together, most });
  if (typeof weights === "string") unknown.push(weights);
  else bounds.push(weights);
  return { ...known, streams, fits: bindingOf(bounds)?.fits ?? null, bounds, unknown };
}

function tooFewText(name: string, jobs: readonly Measured[]): string {
  const count = jobs.reduce((sum, { series }) => sum + series.points.length, 0);
  if (count >= MIN_SAMPLES)
    return `${name} was slower than real time in most of its samples, and used less than it needs: name a job that kept up with --like`;
  if (count === 0) return `${name} is not measured: let ffrtmp watch observe it for 4 minutes`;
  return `${name} has ${count} samples of its CPU use, and ${MIN_SAMPLES} are needed: let ffrtmp watch observe it for 4 minutes`;
}

/** Takes the stream with the highest peak as the model of those to come, so that any of them fits. */
function largestOf(running: readonly Measured[]): { name: string; alike: Measured[] } | undefined {
  const peaks = running.flatMap((measured) => {
    const peak = peakOf(samplesOf(measured.series));
    return peak === undefined ? [] : [{ measured, cores: peak.cores }];
  });
  const [largest] = peaks.sort((a, b) => b.cores - a.cores);
  return largest && { name: largest.measured.job.jobId, alike: [largest.measured] };
}

/** Returns the bound of the tenant's total; `undefined`: there is none; a text: why it is not known. */
function tenantBound(
  context: Context,
  model: Job | undefined,
  running: readonly Measured[],
  candidateCores: number,
): Bound | undefined | string {
  const tenant = model?.tenant ?? null;
  if (tenant === null) return undefined;
  const own = running.filter(({ job }) => job.tenant === tenant);
  if (own.length === 0)
    return `the total of tenant ${tenant} is not known, because none of its streams runs: ffrtmp policy check shows whether it has one`;
  const quotas = own.flatMap(({ job }) => {
    const { fs, directories } = tenantCgroupOf(jobCgroupOf(context, job));
    return directories.flatMap((each) => readCpuShare({ ...each, fs })?.quotaCores ?? []);
  });
  const used = peakOfSum(own.map(({ series }) => series));
  if (quotas.length === 0 || used === undefined) return undefined;
  return boundOf("tenant", Math.min(...quotas), used.cores, candidateCores);
}

/** Returns the bound of the weights in the tree of cgroups, or why it is not known. */
async function boundOfWeights(
  context: Context,
  open: readonly OpenJob[],
  running: readonly Measured[],
  {
    model,
    candidate,
    together,
    most,
  }: { model: Job | undefined; candidate: Peak; together: Peak; most: number },
): Promise<Bound | string> {
  const { host, hierarchies } = context;
  const reader = new ShareTreeReader(host, hierarchies);
  const jobs = open.flatMap((job) => placeOf(job, hierarchies) ?? []);
  reader.read(jobs);
  await Bun.sleep(TREE_MS);
  const root = reader.read(jobs);
  if (root === undefined)
    return "what streams are sure of is not known: not all cgroups of the machine are visible, or there are too many threads";
  // At the peak of all together, each has the same part of its own peak.
  const peaks = running.map(({ series }) => peakOf(samplesOf(series))?.cores ?? 0);
  const sum = peaks.reduce((total, each) => total + each, 0);
  const needs = running.flatMap(({ job }, index) => {
    const found = placeIn(root, isOpen(job) ? placeOf(job, hierarchies) : undefined);
    const needCores = sum > 0 ? ((peaks[index] ?? 0) * together.cores) / sum : 0;
    return found === undefined ? [] : [{ name: found.name, needCores, found }];
  });
  const own = model && isOpen(model) ? placeIn(root, placeOf(model, hierarchies)) : undefined;
  const place = own ?? needs[0]?.found;
  if (place === undefined)
    return "what further streams are sure of is not known, because none runs where they would";
  const cores = readCpus(host).cpuCount;
  const bound = weightsBound(root, cores, needs, { needCores: candidate.cores, place }, most);
  return bound ?? "what further streams are sure of is not known: the cgroup of the stream has ended";
}
