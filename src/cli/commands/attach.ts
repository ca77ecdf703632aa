import { attach as attachToProcess, GovernedElsewhere, withAttachLock } from "../../jobs/attach/attach.ts";
import { findRunningJobOf, takeOver } from "../../jobs/attach/takeOver.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import { JobObserver, type ObservedEnd } from "../../jobs/exit/jobObserver.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import { limitsInForce } from "../../jobs/job.ts";
import { resultJson } from "../../jobs/json.ts";
import { applyGatesInTurn } from "../../jobs/limits/gates.ts";
import type { Job, RunningJob } from "../../jobs/model/job.ts";
import { shownCommand } from "../../jobs/model/secrets.ts";
import { isObserved } from "../../jobs/recovery/recover.ts";
import { summaryLine, survivorsLine } from "../../jobs/summary.ts";
import { isIntent } from "../../limits/intents.ts";
import { formatLimit } from "../../limits/limits.ts";
import { LIMIT_NAMES, type LimitName } from "../../limits/table.ts";
import { startExitEvents } from "../../linux/events/bestEvents.ts";
import type { Host } from "../../linux/host.ts";
import { CollectedSlowFacts, type SlowFacts } from "../../linux/proc/slowFacts/slowFacts.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { visible } from "../../linux/proc/table.ts";
import { closeOnExec } from "../../sys/descriptor.ts";
import { firstSignal, watchContinuations } from "../../sys/ownSignals.ts";
import { denySignals } from "../denySignals.ts";
import { findRunningJob } from "../findJobs.ts";
import { restartWithFewerRights } from "../giveUp.ts";
import { type JobFlags, jobSpecFromFlags } from "../options/jobOptions.ts";
import { printErr, printJson, warn } from "../output/messages.ts";
import { warnOfLikelyMistakes, warnOfMissingLimits } from "../output/outcomes.ts";
import { warnOfMissingTotal } from "../output/tenantTotals.ts";
import { openContext } from "../session.ts";
import { stopObserving } from "../signals.ts";
import { attachReporting, runInBackground } from "./background.ts";

const DETACH_POLL_MS = 1000;

export interface AttachFlags extends JobFlags {
  pid?: number;
  /** The id of a job, or the PID of one of its processes. */
  job?: string;
  detach?: boolean;
  policy?: boolean;
  /** The descriptor to which the background copy of `--detach` reports the start. Only that copy has it. */
  reportStart?: number;
}

/** Governs a running process until it ends, and reports how it ended. The exit code is only about ffrtmp. */
export async function attach(flags: AttachFlags): Promise<number> {
  if (flags.policy) return (await import("./attachByPolicy.ts")).attachByPolicy(flags);
  if (flags.pid === undefined && flags.job === undefined)
    throw new Refusal(
      "no process given",
      "ffrtmp attach --pid N, or --job JOB for a job without an observer",
    );
  const { reportStart } = flags;
  if (flags.detach && reportStart === undefined) return runInBackground(flags);
  restartWithFewerRights({ fds: reportStart === undefined ? [] : [reportStart] });
  if (reportStart !== undefined) closeOnExec(reportStart);
  const context = openContext(flags);
  const signal = firstSignal();
  const start = () => govern(context, flags);
  const { job, pidfd } = await (reportStart === undefined ? start() : attachReporting(reportStart, start));

  const observed = Promise.withResolvers<ObservedEnd>();
  const events = await startExitEvents(context.host, (batch) => observer.take(batch));
  const observer = new JobObserver(context, events, observed.resolve);
  observer.observe(job, pidfd);
  denySignals();
  if (reportStart !== undefined) {
    const { handOver } = await import("./handOver.ts");
    if (await handOver(context, job)) {
      await events.stop();
      return 0;
    }
  }
  const hasContinued = watchContinuations(context.host);
  const end = await Promise.race([signal, observed.promise, detached(context, job)]);
  // The kernel keeps counting a listener that exits without unregistering.
  await events.stop();
  if (end === "detached") {
    warn(`job ${job.jobId} was detached; PID ${job.process.pid} keeps running`);
    return 0;
  }
  if (typeof end === "string") return stopObserving(context, job, end);
  const { result, isOurs, survivors } = recordExit(context, job, end.ending, {
    atEnd: end.measured,
    time: (await hasContinued()) ? "unseen" : end.time,
  });
  if (survivors.length > 0) warn(survivorsLine(job, survivors));
  // The output of a background copy is a log.
  if (isOurs && flags.json && reportStart === undefined) printJson(resultJson(job, result));
  else if (isOurs) printErr(summaryLine(job, result));
  context.ledger.close();
  return 0;
}

type Governed = { job: RunningJob; pidfd: number | undefined };

/** Takes over the job of the process that is named, if a job governs it, and governs the process otherwise. */
async function govern(context: Context, flags: AttachFlags): Promise<Governed> {
  const { host } = context;
  const named = flags.job === undefined ? undefined : findRunningJob(context, flags.job);
  const pid = named?.process.pid ?? (flags.pid as number);
  const slow = named ? undefined : await readSlowFacts(host, pid);
  const {
    job: governed,
    pidfd,
    isNew,
  } = await withAttachLock(host, pid, () => {
    const orphan = named ?? findRunningJobOf(context, pid);
    if (orphan) return { ...takeOverAgain(context, orphan, flags), isNew: false };
    const spec = jobSpecFromFlags(flags, `pid-${pid}-${Date.now().toString(36)}`);
    warnOfLikelyMistakes(context, spec.limits);
    return { ...attachToProcess(context, pid, spec, slow), isNew: true };
  }).catch((error) => explainGovernor(context, error));
  const changed = isIntent(governed.intent) ? await applyGatesInTurn(context) : [];
  const job = changed.find(({ key }) => key === governed.key) ?? governed;
  const process = `PID ${job.process.pid} (${shownCommand(job).command[0]})`;
  const message = isNew
    ? `governing ${process} as job ${job.jobId}`
    : `job ${job.jobId} had no observer, and this process observes it from now on: ${process}`;
  // With --detach, the output is the id of the job.
  if (flags.reportStart === undefined) warn(message);
  warnOfMissingLimits(job);
  if (isNew && job.tenant !== null) warnOfMissingTotal(context, job);
  return { job, pidfd };
}

function takeOverAgain(context: Context, orphan: RunningJob, flags: AttachFlags): Governed {
  const different = listDifferences(orphan, flags);
  const hint = `ffrtmp attach --job ${orphan.jobId}, and for limits: ffrtmp limits set ${orphan.jobId} …`;
  if (different.length > 0 && !isObserved(context, orphan))
    throw new Refusal(
      `job ${orphan.jobId} governs process ${orphan.process.pid} and is taken over as it is: it has another ${different.join(", ")}`,
      hint,
    );
  const { job, pidfd, repairs } = takeOver(context, orphan);
  for (const { what, wanted, found, did } of repairs) {
    const result =
      did === "reapplied" || did === "given_again" ? "it is applied again" : did.replace("_", " ");
    warn(`job ${job.jobId}: ${what} was ${found} instead of ${wanted}: ${result}`);
  }
  return { job, pidfd };
}

/**
 * Lists the options that ask for something else than the job has. A supervisor that starts a wrapper again gives it the
 * same options, which ask for nothing new.
 */
function listDifferences(job: RunningJob, flags: AttachFlags): string[] {
  const { jobId, intent, slaEligible, limits, tenant, labels } = jobSpecFromFlags(flags, job.jobId);
  const inForce = limitsInForce(job);
  const isOther = (name: LimitName) => {
    const wanted = formatLimit(limits, name);
    return wanted !== undefined && ![job.limits, inForce].some((each) => formatLimit(each, name) === wanted);
  };
  return [
    ...(jobId === job.jobId ? [] : ["--job-id"]),
    ...(intent === null || intent === job.intent ? [] : ["--intent"]),
    ...(slaEligible && !job.slaEligible ? ["--sla-eligible"] : []),
    ...(tenant === null || tenant.name === job.tenant ? [] : ["--tenant"]),
    ...(Object.entries(labels).every(([name, value]) => job.labels[name] === value) ? [] : ["--label"]),
    ...LIMIT_NAMES.filter(isOther),
  ];
}

/** Names the state directory whose ffrtmp governs the process already. */
async function explainGovernor(context: Context, error: unknown): Promise<never> {
  if (!(error instanceof GovernedElsewhere)) throw error;
  const { describeGovernor } = await import("../otherStates.ts");
  throw describeGovernor(context, error);
}

/** Reads what the ledger keeps of a process, which can delay that without end, within a time limit. */
async function readSlowFacts(host: Host, pid: number): Promise<SlowFacts> {
  const slow = new CollectedSlowFacts();
  const stat = visible(() => readStat(host, pid));
  if (stat === undefined) return slow;
  const reader = new SlowReader(host);
  const read = { kind: "arguments", pid, startTicks: stat.startTicks } as const;
  slow.add(read, await reader.read(read));
  reader.stop();
  return slow;
}

/** Settles when another ffrtmp has detached the job, which only the ledger shows. */
async function detached(context: Context, { key }: Job): Promise<"detached"> {
  while (context.ledger.result({ key })?.ending.kind !== "detached") await Bun.sleep(DETACH_POLL_MS);
  return "detached";
}
