import type { End, Facts, GovernorFacts, JobFacts, OwnRecord, WorkloadFacts } from "./facts.ts";

export interface Verdict {
  /** Empty when ffrtmp behaved correctly. */
  violations: string[];
  /** The number of ends that are recorded with evidence. */
  known: number;
  /** The number of ends that a governor could observe. */
  knowable: number;
  /** The number of results without an exit code, each with its reason. */
  unknown: number;
}

/** Compares the observations of a round with ffrtmp's guarantees. */
export function judge(facts: Facts): Verdict {
  const violations = [
    ...facts.timedOut.map((what) => `timed out waiting until ${what}`),
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
  const { plan, own, child, endSeenByParent } = workload;
  const violations = [
    ...judgeProcess(plan.id, own),
    ...(child?.started ? judgeProcess(`the child of ${plan.id}`, child) : []),
  ];
  if (!own.started && workload.mustStart) violations.push(`${plan.id} never started`);
  if (endSeenByParent && own.announcedEnd && !isSameEnd(endSeenByParent, own.announcedEnd)) {
    violations.push(`${plan.id} announced ${text(own.announcedEnd)} and ended with ${text(endSeenByParent)}`);
  }
  if (workload.mustBeGoverned && !facts.jobs.some((job) => isOf(job, own))) {
    violations.push(`${plan.id} ran beside a daemon and was not governed`);
  }
  if (workload.wasObservedAtRelease === false) violations.push(`${plan.id} was recorded and had no observer`);
  return violations;
}

function judgeProcess(name: string, { started, receivedSignals, announcedEnd }: OwnRecord): string[] {
  const violations = receivedSignals.map((signal) => `${name} was sent SIG${signal}`);
  if (started && !announcedEnd) violations.push(`${name} was killed by another process: it announced no end`);
  return violations;
}

function judgeJob(facts: Facts, job: JobFacts): string[] {
  const { result } = job;
  const name = `job ${job.jobId}`;
  if (!result || job.state !== "ended") return [`${name} is ${job.state} and has no result`];
  const governed = findGoverned(facts, job);
  if (!governed) return [`${name} governed PID ${job.pid}, which is not a process of the workloads`];
  const { workload, own } = governed;
  const actual = own.announcedEnd;
  const recorded: End = { code: result.exitCode, signal: result.signal };
  const violations: string[] = [];
  if (result.evidence === null) {
    if (result.exitCode !== null || result.signal !== null) {
      violations.push(`${name} is recorded with ${text(recorded)} without evidence`);
    }
    if (!result.because) violations.push(`${name} has an unknown end and no reason`);
  } else if (!actual) {
    violations.push(`${name} is recorded with ${text(recorded)}, but its workload never announced an end`);
  } else if (!isSameEnd(recorded, actual)) {
    violations.push(`${name} is recorded with ${text(recorded)}, but it was ${text(actual)}`);
  }
  if (result.ending === "detached" && !workload.detachRequested) {
    violations.push(`${name} was detached without a request`);
  }
  if (own.started && result.ending === "never_started") {
    violations.push(`${name} is recorded as never started, but it ran`);
  }
  if (!own.started && job.startedMs !== null) {
    violations.push(`${name} is recorded as started, but it never ran`);
  }
  if (result.evidence === null && couldBeKnown(facts, job)) {
    violations.push(
      `the end of ${name} was observed by ${observersOf(facts, job)} and is recorded as unknown: ${result.because}`,
    );
  }
  return violations;
}

/**
 * Reports whether a governor had a pidfd of the workload at its end and was not killed before the end was
 * recorded. An `attach` counts only when it exited with 0, because another governor may have been faster.
 */
function couldBeKnown(facts: Facts, job: JobFacts): boolean {
  return job.result?.ending !== "detached" && observersOf(facts, job) !== "";
}

function observersOf(facts: Facts, job: JobFacts): string {
  const { result } = job;
  const announcedEnd = findGoverned(facts, job)?.own.announcedEnd;
  if (!result || !announcedEnd || job.pid === null) return "";
  const observers = facts.governors.filter(({ name, pid, pidfds, signals, exit }) => {
    // It left on purpose. The daemon that took the job over is judged by its own pidfd.
    const hasLeft = job.handedOver && !job.adoptedBy.includes(pid);
    if (name === `wrapper ${job.jobId}` && hasLeft) return false;
    const pidfd = pidfds.find(({ pid }) => pid === job.pid);
    const hasGoverned = !name.startsWith("observer") || exit?.code === 0;
    // A governor that was only stopped continues later, and has to record the end then.
    const wasAlive = signals.every(({ signal, atMs }) => signal === "SIGSTOP" || atMs > result.endMs);
    return pidfd !== undefined && pidfd.sinceMs < announcedEnd.atMs && hasGoverned && wasAlive;
  });
  return observers.map(({ name, pid }) => `${name} (PID ${pid})`).join(", ");
}

function judgeGovernor(facts: Facts, { name, exit, signals, output }: GovernorFacts): string[] {
  if (!exit) return [];
  const sent = signals.map(({ signal }) => signal);
  const violations: string[] = [];
  if (exit.signal !== null && !sent.includes(exit.signal))
    violations.push(`${name} died of ${exit.signal}: ${output}`);
  if (/\bat .*:\d+:\d+\)?$|panic|Segmentation|internal error/im.test(output))
    violations.push(`${name} crashed: ${output}`);
  const id = name.split(" ")[1];
  const workload = facts.workloads.find(({ plan }) => plan.id === id);
  const isWrapper = name.startsWith("wrapper") && workload?.plan.origin === "run";
  const actual = workload?.own.announcedEnd;
  if (isWrapper && sent.length === 0 && actual) {
    const returned = { code: exit.code, signal: exit.signal };
    const expected = { code: actual.code ?? 128 + signalNumber(actual.signal), signal: null };
    if (!isSameEnd(returned, expected))
      violations.push(`${name} exited with ${text(returned)} instead of ${text(actual)}`);
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
      return [`PID ${process.started?.pid} of ${plan.id} was governed more than once: ${ids}`];
    }),
  );
}

/**
 * Finds the workload of a job by its process, or by the job's id when the job never had a process. A child
 * that outlives its parent has the same name, and may be governed as its own job.
 */
function findGoverned(facts: Facts, job: JobFacts): { workload: WorkloadFacts; own: OwnRecord } | undefined {
  for (const workload of facts.workloads) {
    for (const own of [workload.own, workload.child]) if (own && isOf(job, own)) return { workload, own };
  }
  const named = facts.workloads.find(({ plan }) => plan.id === job.jobId);
  return named && (job.pid === null || !named.own.started) ? { workload: named, own: named.own } : undefined;
}

function isOf({ pid, startTicks }: JobFacts, { started }: OwnRecord): boolean {
  return started !== null && pid === started.pid && startTicks === started.startTicks;
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
