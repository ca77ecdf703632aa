import { expect, test } from "bun:test";
import { someJob, someResult } from "../../test/support/jobs.ts";
import { policyFromFlags } from "../policy/policy.ts";
import { type DaemonEvent, DaemonEvents } from "./events.ts";
import { logEvents, reportStatus } from "./log.ts";

const JOB = someJob({ jobId: "auto-ffmpeg-4026" });
const COUNTS = {
  received: 9,
  dropped: null,
  droppedRenames: null,
  filteredExecs: null,
  overruns: 0,
  malformed: 0,
  postponed: 0,
  rescans: 2,
  foundByScan: 1,
  notGoverned: 0,
  tenantsRefused: 0,
  lateReads: 0,
  skippedReads: 0,
  endedBeforeLimits: 0,
};
const NO_SOURCE = "connector: not permitted";
const POLICY = { policy: policyFromFlags(["ffmpeg", "gst-launch-1.0"], {}), path: undefined, warnings: [] };
const STARTED = { kind: "daemon-started", ...POLICY, ledgerPath: "/l.db" } as const;

function log(...events: DaemonEvent[]): string[] {
  const bus = new DaemonEvents();
  const lines: string[] = [];
  logEvents(bus, (line) => lines.push(line));
  for (const event of events) bus.emit(event);
  return lines;
}

function status(...events: DaemonEvent[]): string[] {
  const bus = new DaemonEvents();
  const texts: string[] = [];
  reportStatus(bus, { status: (text) => texts.push(text) });
  for (const event of events) bus.emit(event);
  return texts;
}

test("the line of an attached process names its command, its job, its rule and its tenant", () => {
  const attached = { kind: "job-attached", job: JOB, target: "ffmpeg", rule: undefined } as const;
  expect(log(attached)).toEqual(["Attaching to PID 4026 (ffmpeg) as job auto-ffmpeg-4026"]);
  expect(log({ ...attached, job: { ...JOB, tenant: "acme" }, rule: "live" })).toEqual([
    "Attaching to PID 4026 (ffmpeg) as job auto-ffmpeg-4026 (rule live, tenant acme)",
  ]);
});

test("names in a line cannot start another line or change a terminal", () => {
  const reason = "a\nJOB forged | sla=COMPLIANT\u001b[2J\u202e\u2028";
  const shown = "a\\u000aJOB forged | sla=COMPLIANT\\u001b[2J\\u202e\\u2028";
  expect(log({ kind: "not-governed", pid: 7, target: "x\n", reason })).toEqual([
    `not governed: PID 7 (x\\u000a): ${shown}`,
  ]);
  expect(log({ kind: "tenant-refused", pid: 7, comm: "\u0007", reason })).toEqual([
    `no tenant for PID 7 (\\u0007): ${shown} is refused`,
  ]);
});

test("each limit that was not applied gets a line of its own", () => {
  const job = someJob({
    ...JOB,
    outcomes: [
      { limit: "cpu.max", outcome: "applied", wanted: "50000 100000", actual: "50000 100000" },
      { limit: "pids.max", of: "tenant", outcome: "refused", wanted: "5", because: "EACCES" },
    ],
  });
  expect(log({ kind: "job-attached", job, target: "ffmpeg", rule: undefined }).slice(1)).toEqual([
    "Job auto-ffmpeg-4026: tenant's pids.max is refused: EACCES",
  ]);
});

test("the line of an ended job is the one that operators search for", () => {
  expect(log({ kind: "job-ended", job: JOB, result: someResult(JOB) })).toEqual([
    "JOB auto-ffmpeg-4026 | outcome=succeeded | sla=COMPLIANT | reason=completed_successfully | runtime=12s | exit=0 | pid=4026",
  ]);
});

test("a start names the policy, the event source, the better ones that are missing, and likely mistakes", () => {
  const warnings = ["rules[0]: matches nothing"];
  expect(log({ ...STARTED, source: "polling", unavailable: [NO_SOURCE], warnings })).toEqual([
    `Watching for ffmpeg, gst-launch-1.0, from the command line (PID ${process.pid}); events: polling, ledger: /l.db`,
    `Event source unavailable, falling back: ${NO_SOURCE}`,
    "Policy warning: rules[0]: matches nothing",
  ]);
});

test("a rejected policy is logged with every fault", () => {
  const faults = ["p.yaml:1:1: a", "p.yaml:2:1: b"];
  expect(log({ kind: "policy-rejected", trigger: "SIGHUP", path: "/p.yaml", faults })).toEqual([
    "POLICY REJECTED (SIGHUP); the previous one stays in force. Errors in /p.yaml:",
    "  p.yaml:1:1: a",
    "  p.yaml:2:1: b",
  ]);
});

test("a limit that another program changes is logged as restored, refused, or left alone", () => {
  const change = { what: "pids.max", wanted: "50", found: "max" } as const;
  const lines = (["reapplied", "repair_refused", "left_alone"] as const).flatMap((did) =>
    log({ kind: "limit-repaired", job: JOB, repair: { ...change, did } }),
  );
  const changed = "Job auto-ffmpeg-4026: pids.max was changed from outside (wanted 50, found max)";
  expect(lines).toEqual([
    `${changed}: restored`,
    `${changed}: the kernel refuses to restore it, trying again`,
    `${changed}: left alone for an hour`,
  ]);
});

test("counts are for the status line alone, which names the event source and an invalid policy file", () => {
  const counted = {
    kind: "counted",
    jobs: 1,
    source: "connector",
    isPolicyValid: true,
    counts: COUNTS,
  } as const;
  expect(log(counted)).toEqual([]);
  const counts = { ...COUNTS, dropped: 3 };
  const rejected = { ...counted, jobs: 2, source: "polling", isPolicyValid: false, counts } as const;
  expect(status(counted, rejected, { kind: "daemon-stopping", signal: "SIGTERM" })).toEqual([
    "Governing 1 job; events: connector, dropped: not counted",
    "Governing 2 jobs; events: polling, dropped: 3; POLICY FILE NOT VALID, the previous policy is in force",
  ]);
});

test("a subscription ends when its subscriber says so", () => {
  const bus = new DaemonEvents();
  const seen: string[] = [];
  const unsubscribe = bus.subscribe(({ kind }) => seen.push(kind));
  bus.emit({ kind: "daemon-stopping", signal: "SIGTERM" });
  unsubscribe();
  bus.emit({ kind: "process-found-by-scan", pid: 7, isFiltered: false });
  expect(seen).toEqual(["daemon-stopping"]);
});
