import { expect, test } from "bun:test";
import { someEndedJob, someJob, someProcess, someStartingJob } from "../../../test/support/jobs.ts";
import { UNKNOWN_USAGE } from "../../limits/usage.ts";
import type { Ending, JobResult } from "./ending.ts";
import { type EndedJob, type Job, type RunningJob, type StartingJob, toRunning } from "./job.ts";
import type { JobEvent } from "./jobEvent.ts";

// tsc checks this file: an `@ts-expect-error` above a line that compiles is an error itself.

const running = someJob();
const starting = someStartingJob();
const ended = someEndedJob();
const process = someProcess();
const result: JobResult = {
  key: "k",
  ending: { kind: "detached" },
  startMs: 1,
  startBootMs: 1,
  endMs: 2,
  endBootMs: 2,
  lastSeenMs: null,
  endedBeforeMs: null,
  slaCompliant: true,
  slaReason: "detached",
  outcomes: [],
  usage: UNKNOWN_USAGE,
  hinderedSeconds: null,
};

test("jobs in impossible states do not compile", () => {
  const jobs: Job[] = [
    // @ts-expect-error A running job has a process.
    { ...running, process: null } satisfies RunningJob,
    // @ts-expect-error A running job has a start time.
    { ...running, startedMs: null } satisfies RunningJob,
    // @ts-expect-error A running job is not cleaned up.
    { ...running, cleanedUp: true } satisfies RunningJob,
    // @ts-expect-error A starting job has no start time.
    { ...starting, startedMs: 1 } satisfies StartingJob,
    // @ts-expect-error A starting job has no result.
    { ...starting, result } satisfies StartingJob,
    // @ts-expect-error A starting job has an ffrtmp that starts it.
    { ...starting, observer: null } satisfies StartingJob,
    // @ts-expect-error An ended job has no observer.
    { ...ended, observer: process } satisfies EndedJob,
    // @ts-expect-error A pid does not identify a process.
    { ...running, process: 4026 } satisfies RunningJob,
    // @ts-expect-error A pid and a start time identify a process in one boot only.
    { ...running, process: { pid: 4026, startTicks: 1 } } satisfies RunningJob,
  ];
  expect(jobs).toBeArray();
});

test("the state decides which fields a job has", () => {
  const readers: ((job: Job) => unknown)[] = [
    // @ts-expect-error An ended job has no observer.
    (job) => job.observer,
    // @ts-expect-error A starting job has no start time.
    (job) => job.startedMs,
    // @ts-expect-error A starting job may have no process yet.
    (job) => job.process.pid,
    (job) => (job.state === "running" ? job.process.pid : null),
    (job) => (job.state === "ended" ? job.cleanedUp : job.observer),
  ];
  expect(readers).toBeArray();
});

test("only a starting job starts to run, with the identity of its process", () => {
  const transitions: (() => RunningJob)[] = [
    // @ts-expect-error An ended job does not start again.
    () => toRunning(ended, { process, startedMs: 1, startedBootMs: 1 }),
    // @ts-expect-error A pid does not identify a process.
    () => toRunning(starting, { process: 4026, startedMs: 1, startedBootMs: 1 }),
    // @ts-expect-error A running job has a start time.
    () => toRunning(starting, { process, startedBootMs: 1 }),
    () => toRunning(starting, { process, startedMs: 1, startedBootMs: 1 }),
  ];
  expect(transitions).toBeArray();
});

test("a job is not changed in place", () => {
  const changes: ((job: RunningJob) => void)[] = [
    // @ts-expect-error Its state is read-only.
    (job) => (job.state = "ended"),
    // @ts-expect-error Its observer is read-only.
    (job) => (job.observer = null),
    // @ts-expect-error Its outcomes are read-only.
    (job) => job.outcomes.push({ limit: "nice", outcome: "applied", wanted: "5" }),
  ];
  expect(changes).toBeArray();
});

test("impossible endings do not compile", () => {
  const endings: Ending[] = [
    // @ts-expect-error An exit code has evidence.
    { kind: "exited", code: 0 },
    // @ts-expect-error A process exits by a code or by a signal.
    { kind: "exited", code: 0, signal: "SIGKILL", evidence: "parent" },
    // @ts-expect-error An exit without a code is not "exited".
    { kind: "exited", code: null, evidence: "parent" },
    // @ts-expect-error A signal has evidence.
    { kind: "signaled", signal: "SIGKILL" },
    // @ts-expect-error A detached job has no exit code.
    { kind: "detached", code: 0 },
    // @ts-expect-error An unknown exit has a reason.
    { kind: "exit-unknown" },
    // @ts-expect-error An unknown exit has no code.
    { kind: "exit-unknown", code: 0, reason: "x" },
    // @ts-expect-error An unobserved end has no evidence.
    { kind: "unobserved", reason: "x", evidence: "pidfd" },
    // @ts-expect-error This is no source of an exit status.
    { kind: "exited", code: 0, evidence: "guess" },
  ];
  expect(endings).toBeArray();
});

test("an event has the detail of its own kind", () => {
  const events: JobEvent[] = [
    // @ts-expect-error This is the detail of last_gone.
    { atMs: 1, kind: "left_behind", detail: { usage: UNKNOWN_USAGE } },
    // @ts-expect-error This is the detail of left_behind.
    { atMs: 1, kind: "last_gone", detail: { pids: [1] } },
    // @ts-expect-error Its detail is empty.
    { atMs: 1, kind: "observer_died", detail: { signal: "SIGTERM" } },
    // @ts-expect-error A drift names what was found.
    { atMs: 1, kind: "reapplied", detail: { what: "cpu.max", wanted: "max" } },
    // @ts-expect-error There is no such limit.
    { atMs: 1, kind: "reapplied", detail: { what: "cpu.maxx", wanted: "max", found: "1" } },
    // @ts-expect-error There is no such kind.
    { atMs: 1, kind: "paused", detail: {} },
    { atMs: 1, kind: "observer_left", detail: { signal: "SIGTERM" } },
  ];
  expect(events).toBeArray();
});
