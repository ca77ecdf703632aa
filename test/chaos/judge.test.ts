import { expect, test } from "bun:test";
import type { Facts, GovernorFacts, JobFacts, ResultFacts, WorkloadFacts } from "./facts.ts";
import { judge } from "./judge.ts";

const RESULT: ResultFacts = {
  ending: "exited",
  exitCode: 42,
  signal: null,
  evidence: "pidfd",
  because: null,
  endMs: 2000,
};
const UNKNOWN: ResultFacts = {
  ...RESULT,
  ending: "unobserved",
  exitCode: null,
  evidence: null,
  because: "it ended while no ffrtmp observed it",
};
const LIFE = {
  started: { pid: 4026, startTicks: 99 },
  receivedSignals: [],
  announcedEnd: { code: 42, signal: null, atMs: 1990 },
};
const DAEMON: GovernorFacts = {
  name: "watch",
  pid: 812,
  signals: [],
  pidfds: [{ pid: 4026, sinceMs: 1500 }],
  exit: { code: 0, signal: null },
  output: "",
};

function workload(change: Partial<WorkloadFacts> = {}): WorkloadFacts {
  return {
    plan: {
      id: "w1",
      origin: "watch",
      isTarget: true,
      lifeMs: 500,
      end: { code: 42 },
      childLifeMs: null,
      limits: [],
    },
    mustStart: true,
    own: LIFE,
    child: null,
    endSeenByParent: { code: 42, signal: null },
    mustBeGoverned: true,
    wasObservedAtRelease: true,
    detachRequested: false,
    ...change,
  };
}

function job(change: Partial<JobFacts> = {}): JobFacts {
  return {
    jobId: "auto-wk-4026",
    mode: "watch",
    state: "ended",
    pid: 4026,
    startTicks: 99,
    startedMs: 1400,
    observerPid: null,
    handedOver: false,
    adoptedBy: [],
    result: RESULT,
    ...change,
  };
}

/** A round without violations: `watch` found one workload, observed it and recorded its end. */
function facts(change: Partial<Facts> = {}): Facts {
  return {
    workloads: [workload()],
    governors: [DAEMON],
    jobs: [job()],
    hasCgroups: true,
    cgroupsLeft: [],
    integrity: "ok",
    timedOut: [],
    ...change,
  };
}

test("a correct round has no violations", () => {
  expect(judge(facts())).toEqual({ violations: [], known: 1, knowable: 1, unknown: 0 });
});

const signalled = (atMs: number, signal = "SIGKILL"): GovernorFacts => ({
  ...DAEMON,
  signals: [{ signal, atMs }],
  exit: null,
});

test.each<[string, Partial<Facts>]>([
  ["the daemon was killed before the end", { governors: [signalled(1700)] }],
  ["the daemon was killed between the end and its record", { governors: [signalled(1995)] }],
  ["no governor had a pidfd of the process", { governors: [{ ...DAEMON, pidfds: [] }] }],
  [
    "the pidfd was opened after the end",
    { governors: [{ ...DAEMON, pidfds: [{ pid: 4026, sinceMs: 1995 }] }] },
  ],
  [
    "the governor with the pidfd was refused",
    { governors: [{ ...DAEMON, name: "observer w1", exit: { code: 2, signal: null } }] },
  ],
])("an unknown end is excused when %s", (_when, change) => {
  const verdict = judge(facts({ ...change, jobs: [job({ result: UNKNOWN })] }));
  expect(verdict).toEqual({ violations: [], known: 0, knowable: 0, unknown: 1 });
});

test("a background copy that handed its job over is no observer, unless it took the job back", () => {
  const governors = [{ ...DAEMON, name: "wrapper w1" as const, pid: 812 }];
  const handedOver = { jobId: "w1", handedOver: true, result: UNKNOWN };
  expect(judge(facts({ governors, jobs: [job(handedOver)] })).violations).toEqual([]);
  const takenBack = judge(facts({ governors, jobs: [job({ ...handedOver, adoptedBy: [812] })] }));
  expect(takenBack.violations.join()).toContain("was observed by wrapper w1 (PID 812)");
});

test("a process that was detached on request may be governed again", () => {
  const detached = job({ result: { ...UNKNOWN, ending: "detached" } });
  const again = facts({
    jobs: [detached, job({ jobId: "w1" })],
    workloads: [workload({ detachRequested: true })],
  });
  expect(judge(again).violations).toEqual([]);
});

test("a child that outlives its parent may be governed as its own job", () => {
  const child = { ...LIFE, started: { pid: 4027, startTicks: 100 } };
  const jobs = [job(), job({ jobId: "auto-wk-4027", pid: 4027, startTicks: 100 })];
  expect(judge(facts({ workloads: [workload({ child })], jobs })).violations).toEqual([]);
});

const ungoverned = (change: Partial<WorkloadFacts>): Partial<Facts> => ({
  workloads: [workload({ mustBeGoverned: false, wasObservedAtRelease: null, ...change })],
  jobs: [],
});
const recorded = (change: Partial<ResultFacts>): Partial<Facts> => ({
  jobs: [job({ result: { ...RESULT, ...change } })],
});
const wrapped = (code: number): Partial<Facts> => ({
  workloads: [workload({ plan: { ...workload().plan, origin: "run" }, endSeenByParent: null })],
  governors: [{ ...DAEMON, name: "wrapper w1", exit: { code, signal: null } }],
});

test.each<[string, string, Partial<Facts>]>([
  [
    "a workload without an announced end",
    "was killed by another process",
    ungoverned({ own: { ...LIFE, announcedEnd: null } }),
  ],
  [
    "a signal sent to a workload",
    "was sent SIGTERM",
    ungoverned({ own: { ...LIFE, receivedSignals: ["TERM"] } }),
  ],
  [
    "a child without an announced end",
    "child of w1 was killed",
    ungoverned({ child: { ...LIFE, announcedEnd: null } }),
  ],
  [
    "another end than the announced one",
    "ended with SIGKILL",
    ungoverned({ endSeenByParent: { code: null, signal: "SIGKILL" } }),
  ],
  [
    "a workload that never started",
    "never started",
    ungoverned({ own: { ...LIFE, started: null, announcedEnd: null } }),
  ],
  ["a target that was not governed", "was not governed", { jobs: [] }],
  [
    "a job that was not observed",
    "had no observer",
    { workloads: [workload({ wasObservedAtRelease: false })] },
  ],
  ["a job without a result", "has no result", { jobs: [job({ state: "running", result: null })] }],
  ["a wrong exit code", "it was code 42", recorded({ exitCode: 0 })],
  ["a signal in place of an exit code", "it was code 42", recorded({ exitCode: null, signal: "SIGKILL" })],
  [
    "an exit code without evidence",
    "without evidence",
    recorded({ evidence: null, because: "not observed" }),
  ],
  ["an unknown end without a reason", "no reason", { jobs: [job({ result: { ...UNKNOWN, because: "" } })] }],
  [
    "an end that was observed and not recorded",
    "was observed by watch",
    { jobs: [job({ result: UNKNOWN })] },
  ],
  [
    "an end that a stopped daemon did not record later",
    "was observed by watch",
    { jobs: [job({ result: UNKNOWN })], governors: [signalled(1700, "SIGSTOP")] },
  ],
  [
    "an end of a process that never started",
    "never announced",
    {
      workloads: [
        workload({
          own: { started: null, receivedSignals: [], announcedEnd: null },
          mustStart: false,
          endSeenByParent: null,
        }),
      ],
      jobs: [job({ jobId: "w1" })],
    },
  ],
  [
    "a detach without a request",
    "without a request",
    { jobs: [job({ result: { ...UNKNOWN, ending: "detached" } })] },
  ],
  [
    "a started job as never started",
    "but it ran",
    { jobs: [job({ result: { ...UNKNOWN, ending: "never_started" } })] },
  ],
  [
    "a job of another process",
    "not a process of the workloads",
    { jobs: [job(), job({ pid: 1, startTicks: 1 })] },
  ],
  [
    "a job with the same pid and another start time",
    "not a process of the workloads",
    { jobs: [job({ startTicks: 100 })] },
  ],
  ["two jobs for one process", "more than once", { jobs: [job(), job({ jobId: "w1" })] }],
  ["another exit code of run than of its command", "exited with code 0 instead of code 42", wrapped(0)],
  [
    "a governor that died by itself",
    "died of SIGSEGV",
    {
      governors: [DAEMON, { ...DAEMON, exit: { code: null, signal: "SIGSEGV" } }],
    },
  ],
  [
    "a governor that threw",
    "crashed",
    {
      governors: [{ ...DAEMON, output: "TypeError: x\n    at take (daemon.ts:12:3)" }],
    },
  ],
  ["a cgroup that is left", "is left", { cgroupsLeft: ["/sys/fs/cgroup/cpu/ffrtmp-ab12cd-w1"] }],
  ["a damaged ledger", "damaged", { integrity: "row 3 missing from index" }],
  ["a condition that did not become true", "timed out", { timedOut: ["every job has its result"] }],
])("%s is a violation", (_name, words, change) => {
  expect(judge(facts(change)).violations.join("\n")).toContain(words);
});
