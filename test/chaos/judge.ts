import type { End, Facts, GovernorFacts, JobFacts, OwnRecord, WorkloadFacts } from "./facts.ts";

export interface Verdict {
  /** Empty when every law held. */
  violations: string[];
  /** Ends that are on record, with evidence. */
  known: number;
  /** Of these, and of the violations, those that somebody was in a position to know. */
  knowable: number;
  /** Results without a code, each with its reason. */
  unknown: number;
}

/** Holds what happened against what must never happen, whatever is killed when. Pure. */
export function judge(facts: Facts): Verdict {
  const violations = [
    ...facts.neverHappened.map((what) => `waited in vain: ${what}`),
    ...facts.workloads.flatMap((workload) => judgeWorkload(facts, workload)),
    ...facts.jobs.flatMap((job) => judgeJob(facts, job)),
    ...facts.governors.flatMap((governor) => judgeGovernor(facts, governor)),
    ...judgeUniqueness(facts),
    ...facts.cgroupsLeft.map((path) => `the cgroup ${path} is left`),
    ...(facts.integrity === "ok" ? [] : [`the ledger is damaged: ${facts.integrity}`]),
  ];
  const results = facts.jobs.flatMap(({ result }) => result ?? []);
  return {
    violations,
    known: results.filter(({ evidence }) => evidence !== null).length,
    knowable: facts.jobs.filter((job) => couldBeKnown(facts, job)).length,
    unknown: results.filter(({ evidence }) => evidence === null).length,
  };
}

function judgeWorkload(facts: Facts, workload: WorkloadFacts): string[] {
  const { plan, own, child, waited } = workload;
  const violations = [
    ...judgeLife(plan.id, own),
    ...(child?.begun ? judgeLife(`the child of ${plan.id}`, child) : []),
  ];
  if (!own.begun && workload.mustBegin) violations.push(`${plan.id} never began`);
  if (waited && own.lastWords && !isSameEnd(waited, own.lastWords)) {
    violations.push(`${plan.id} meant to end with ${text(own.lastWords)} and ended with ${text(waited)}`);
  }
  if (workload.mustBeGoverned && !facts.jobs.some((job) => isOf(job, own))) {
    violations.push(`${plan.id} lived when a daemon was there, and nobody governed it`);
  }
  if (workload.wasHeldAtRelease === false) violations.push(`${plan.id} was on record and nobody held it`);
  return violations;
}

function judgeLife(name: string, { begun, signalled, lastWords }: OwnRecord): string[] {
  const violations = signalled.map((signal) => `${name} was sent SIG${signal}`);
  if (begun && !lastWords) violations.push(`${name} was ended by somebody else: it had no last words`);
  return violations;
}

function judgeJob(facts: Facts, job: JobFacts): string[] {
  const { result } = job;
  const name = `job ${job.jobId}`;
  if (!result || job.state !== "ended") return [`${name} is ${job.state} and has no result`];
  const governed = findGoverned(facts, job);
  if (!governed) return [`${name} governed PID ${job.pid}, which is none of the workloads`];
  const { workload, own } = governed;
  const truth = own.lastWords;
  const recorded: End = { code: result.exitCode, signal: result.signal };
  const violations: string[] = [];
  if (result.evidence === null) {
    if (result.exitCode !== null || result.signal !== null) {
      violations.push(`${name} has ${text(recorded)} on record without evidence`);
    }
    if (!result.because) violations.push(`${name} has an unknown end and no reason`);
  } else if (!truth) {
    violations.push(`${name} has ${text(recorded)} on record, and its workload never said that it would end`);
  } else if (!isSameEnd(recorded, truth)) {
    violations.push(`${name} has ${text(recorded)} on record, and the truth is ${text(truth)}`);
  }
  if (result.ending === "detached" && !workload.detachAsked) {
    violations.push(`${name} was released, and nobody asked for it`);
  }
  if (own.begun && result.ending === "never_started") {
    violations.push(`${name} is on record as never started, and it ran`);
  }
  if (!own.begun && job.startedMs !== null) {
    violations.push(`${name} is on record as started, and it never began`);
  }
  if (result.evidence === null && couldBeKnown(facts, job)) {
    violations.push(
      `${name} ended before the eyes of ${holdersOf(facts, job)} and is on record as unknown: ${result.because}`,
    );
  }
  return violations;
}

/**
 * Whether a governor held the workload when it ended and was left in peace until the end was on record.
 * An `attach` counts only when it ended as one that has done its work: another may have been there before it.
 */
function couldBeKnown(facts: Facts, job: JobFacts): boolean {
  return job.result?.ending !== "detached" && holdersOf(facts, job) !== "";
}

function holdersOf(facts: Facts, job: JobFacts): string {
  const { result } = job;
  const lastWords = findGoverned(facts, job)?.own.lastWords;
  if (!result || !lastWords || job.pid === null) return "";
  const holders = facts.governors.filter(({ name, held, strikes, exit }) => {
    const hold = held.find(({ pid }) => pid === job.pid);
    const hadWork = !name.startsWith("observer") || exit?.code === 0;
    // One that was only stopped goes on later, and then has to tell.
    const wasLeftInPeace = strikes.every(({ signal, atMs }) => signal === "SIGSTOP" || atMs > result.endMs);
    return hold !== undefined && hold.sinceMs < lastWords.atMs && hadWork && wasLeftInPeace;
  });
  return holders.map(({ name, pid }) => `${name} (PID ${pid})`).join(", ");
}

function judgeGovernor(facts: Facts, { name, exit, strikes, said }: GovernorFacts): string[] {
  if (!exit) return [];
  const sent = strikes.map(({ signal }) => signal);
  const violations: string[] = [];
  if (exit.signal !== null && !sent.includes(exit.signal))
    violations.push(`${name} died of ${exit.signal}: ${said}`);
  if (/\bat .*:\d+:\d+\)?$|panic|Segmentation|internal error/im.test(said))
    violations.push(`${name} crashed: ${said}`);
  const id = name.split(" ")[1];
  const workload = facts.workloads.find(({ plan }) => plan.id === id);
  const isWrapper = name.startsWith("wrapper") && workload?.plan.origin === "run";
  const truth = workload?.own.lastWords;
  if (isWrapper && sent.length === 0 && truth) {
    const passedOn = { code: exit.code, signal: exit.signal };
    const expected = { code: truth.code ?? 128 + signalNumber(truth.signal), signal: null };
    if (!isSameEnd(passedOn, expected))
      violations.push(`${name} passed on ${text(passedOn)} for ${text(truth)}`);
  }
  return violations;
}

function judgeUniqueness(facts: Facts): string[] {
  return facts.workloads.flatMap(({ plan, own, child }) =>
    [own, child].flatMap((process) => {
      if (!process) return [];
      const jobs = facts.jobs.filter((job) => isOf(job, process) && job.result?.ending !== "detached");
      const claims = facts.hasCgroups ? jobs : jobs.filter(({ result }) => result?.evidence !== null);
      if (claims.length <= 1) return [];
      const ids = claims.map(({ jobId }) => jobId).join(", ");
      return [`PID ${process.begun?.pid} of ${plan.id} was governed more than once: ${ids}`];
    }),
  );
}

/**
 * What a job governed, by its process; one that never had a process by its id. A child that outlives its parent
 * goes by the same name, and may be found as a workload of its own.
 */
function findGoverned(facts: Facts, job: JobFacts): { workload: WorkloadFacts; own: OwnRecord } | undefined {
  for (const workload of facts.workloads) {
    for (const own of [workload.own, workload.child]) if (own && isOf(job, own)) return { workload, own };
  }
  const named = facts.workloads.find(({ plan }) => plan.id === job.jobId);
  return named && (job.pid === null || !named.own.begun) ? { workload: named, own: named.own } : undefined;
}

function isOf({ pid, startTicks }: JobFacts, { begun }: OwnRecord): boolean {
  return begun !== null && pid === begun.pid && startTicks === begun.startTicks;
}

function isSameEnd(a: End, b: End): boolean {
  return a.code === b.code && a.signal === b.signal;
}

function text({ code, signal }: End): string {
  return signal ?? `code ${code}`;
}

const SIGNAL_NUMBERS: Record<string, number> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

function signalNumber(name: string | null): number {
  return SIGNAL_NUMBERS[name ?? ""] ?? Number.NaN;
}
