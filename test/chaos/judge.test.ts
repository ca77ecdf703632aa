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
  begun: { pid: 4026, startTicks: 99 },
  signalled: [],
  lastWords: { code: 42, signal: null, atMs: 1990 },
};
const DAEMON: GovernorFacts = {
  name: "watch",
  pid: 812,
  strikes: [],
  held: [{ pid: 4026, sinceMs: 1500 }],
  exit: { code: 0, signal: null },
  said: "",
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
    mustBegin: true,
    own: LIFE,
    child: null,
    waited: { code: 42, signal: null },
    mustBeGoverned: true,
    wasHeldAtRelease: true,
    detachAsked: false,
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
    result: RESULT,
    ...change,
  };
}

/** One workload that `watch` found, held and saw end: nothing to find fault with. */
function facts(change: Partial<Facts> = {}): Facts {
  return {
    workloads: [workload()],
    governors: [DAEMON],
    jobs: [job()],
    hasCgroups: true,
    cgroupsLeft: [],
    integrity: "ok",
    neverHappened: [],
    ...change,
  };
}

test("a round in which every law held has no violations", () => {
  expect(judge(facts())).toEqual({ violations: [], known: 1, knowable: 1, unknown: 0 });
});

const struck = (atMs: number, signal = "SIGKILL"): GovernorFacts => ({
  ...DAEMON,
  strikes: [{ signal, atMs }],
  exit: null,
});

test.each<[string, Partial<Facts>]>([
  ["the daemon was killed before the end", { governors: [struck(1700)] }],
  ["the daemon was killed between the end and its record", { governors: [struck(1995)] }],
  ["nobody held the process", { governors: [{ ...DAEMON, held: [] }] }],
  ["the hold came after the end", { governors: [{ ...DAEMON, held: [{ pid: 4026, sinceMs: 1995 }] }] }],
  [
    "the one that held it was refused",
    { governors: [{ ...DAEMON, name: "observer w1", exit: { code: 2, signal: null } }] },
  ],
])("an unknown end is excused when %s", (_when, change) => {
  const verdict = judge(facts({ ...change, jobs: [job({ result: UNKNOWN })] }));
  expect(verdict).toEqual({ violations: [], known: 0, knowable: 0, unknown: 1 });
});

test("a process that was released on request may be governed again", () => {
  const released = job({ result: { ...UNKNOWN, ending: "detached" } });
  const again = facts({
    jobs: [released, job({ jobId: "w1" })],
    workloads: [workload({ detachAsked: true })],
  });
  expect(judge(again).violations).toEqual([]);
});

test("a child that outlives its parent may be governed as a workload of its own", () => {
  const child = { ...LIFE, begun: { pid: 4027, startTicks: 100 } };
  const jobs = [job(), job({ jobId: "auto-wk-4027", pid: 4027, startTicks: 100 })];
  expect(judge(facts({ workloads: [workload({ child })], jobs })).violations).toEqual([]);
});

const unwatched = (change: Partial<WorkloadFacts>): Partial<Facts> => ({
  workloads: [workload({ mustBeGoverned: false, wasHeldAtRelease: null, ...change })],
  jobs: [],
});
const recorded = (change: Partial<ResultFacts>): Partial<Facts> => ({
  jobs: [job({ result: { ...RESULT, ...change } })],
});
const wrapped = (code: number): Partial<Facts> => ({
  workloads: [workload({ plan: { ...workload().plan, origin: "run" }, waited: null })],
  governors: [{ ...DAEMON, name: "wrapper w1", exit: { code, signal: null } }],
});

test.each<[string, string, Partial<Facts>]>([
  [
    "a workload without last words",
    "ended by somebody else",
    unwatched({ own: { ...LIFE, lastWords: null } }),
  ],
  ["a signal sent to a workload", "was sent SIGTERM", unwatched({ own: { ...LIFE, signalled: ["TERM"] } })],
  ["a child without last words", "child of w1 was ended", unwatched({ child: { ...LIFE, lastWords: null } })],
  [
    "an end that was not meant",
    "ended with SIGKILL",
    unwatched({ waited: { code: null, signal: "SIGKILL" } }),
  ],
  [
    "a workload that never began",
    "never began",
    unwatched({ own: { ...LIFE, begun: null, lastWords: null } }),
  ],
  ["a target that nobody governed", "nobody governed it", { jobs: [] }],
  ["a job that nobody held", "nobody held it", { workloads: [workload({ wasHeldAtRelease: false })] }],
  ["a job without a result", "has no result", { jobs: [job({ state: "running", result: null })] }],
  ["a wrong code", "the truth is code 42", recorded({ exitCode: 0 })],
  [
    "a signal in the place of a code",
    "the truth is code 42",
    recorded({ exitCode: null, signal: "SIGKILL" }),
  ],
  ["a code without evidence", "without evidence", recorded({ evidence: null, because: "nobody saw it" })],
  ["an unknown end without a reason", "no reason", { jobs: [job({ result: { ...UNKNOWN, because: "" } })] }],
  ["an end that was seen and not recorded", "before the eyes of watch", { jobs: [job({ result: UNKNOWN })] }],
  [
    "an end that a daemon slept through and never told",
    "before the eyes of watch",
    { jobs: [job({ result: UNKNOWN })], governors: [struck(1700, "SIGSTOP")] },
  ],
  [
    "an end of a process that never began",
    "never said",
    {
      workloads: [
        workload({ own: { begun: null, signalled: [], lastWords: null }, mustBegin: false, waited: null }),
      ],
      jobs: [job({ jobId: "w1" })],
    },
  ],
  [
    "a release that nobody asked for",
    "nobody asked",
    { jobs: [job({ result: { ...UNKNOWN, ending: "detached" } })] },
  ],
  [
    "a started job as never started",
    "and it ran",
    { jobs: [job({ result: { ...UNKNOWN, ending: "never_started" } })] },
  ],
  ["a stranger's process", "none of the workloads", { jobs: [job(), job({ pid: 1, startTicks: 1 })] }],
  ["the same pid with another start", "none of the workloads", { jobs: [job({ startTicks: 100 })] }],
  ["two jobs for one process", "more than once", { jobs: [job(), job({ jobId: "w1" })] }],
  ["a code that run did not pass on", "passed on code 0 for code 42", wrapped(0)],
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
      governors: [{ ...DAEMON, said: "TypeError: x\n    at take (daemon.ts:12:3)" }],
    },
  ],
  ["a cgroup that is left", "is left", { cgroupsLeft: ["/sys/fs/cgroup/cpu/ffrtmp-ab12cd-w1"] }],
  ["a damaged ledger", "damaged", { integrity: "row 3 missing from index" }],
  ["a wait in vain", "in vain", { neverHappened: ["every job has its result"] }],
])("%s is a violation", (_name, words, change) => {
  expect(judge(facts(change)).violations.join("\n")).toContain(words);
});
