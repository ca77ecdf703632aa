import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describeOn, JOB_NAME, LIMITS, listAll, makeJob } from "../../test/support/cgroupJobs.ts";
import {
  type CgroupMachine,
  directoryIn,
  fakeMachine,
  MACHINES,
  writeAsOperator,
} from "../../test/support/cgroupMachines.ts";
import { type FakeCgroups, fakeV1, fakeV2 } from "../../test/support/fakeCgroups.ts";
import { someJob, someStartingJob } from "../../test/support/jobs.ts";
import type { Context } from "../jobs/context.ts";
import { recordExit } from "../jobs/exit/recordExit.ts";
import type { Ending, JobResult } from "../jobs/model/ending.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import type { WorkloadEnd } from "../jobs/start/spawn.ts";
import { createInboxFile, type InboxFile } from "../ledger/inbox/inboxFile.ts";
import { Ledger } from "../ledger/ledger.ts";
import type { Limits } from "../limits/limits.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import { UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import { createJobCgroup } from "../linux/cgroup/cgroupChanges.ts";
import { type JobCgroup, storeJobCgroup } from "../linux/cgroup/jobCgroup.ts";
import { planJobCgroup } from "../linux/cgroup/planJobCgroup.ts";
import { endPlainJob, type LaunchedJob, type PlainJob } from "./end.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

const END_MS = { now: () => 1_700_000_012_010, bootNow: () => 1_246_560 };
const SUCCESS: WorkloadEnd = { ending: { kind: "exited", code: 0, evidence: "parent" }, measured: {} };

/** A state directory with an inbox. */
function newState(): { path: string; inbox: string } {
  const path = mkdtempSync(join(directory, "state-"));
  const inbox = join(path, "inbox");
  mkdirSync(inbox, { mode: 0o750 });
  return { path, inbox };
}

/** A job of `run` in a cgroup that exists. */
function launched(cgroup: JobCgroup, limits: Limits, outcomes: readonly LimitOutcome[]): LaunchedJob {
  const journal = storeJobCgroup(cgroup);
  const job = someJob({ limits, outcomes, ...journal });
  const { key, jobId, process, startedMs, startedBootMs } = job;
  return {
    job,
    registered: someStartingJob({ key, jobId, limits, ...journal }),
    running: { process, startedMs, startedBootMs, outcomes, ...journal },
  };
}

function recorded(inbox: string, launch: LaunchedJob): PlainJob {
  const file = createInboxFile(inbox, { job: launch.registered });
  if (typeof file !== "object") throw new Error(`there is no inbox file: ${file}`);
  return { ...launch, file: file as InboxFile };
}

/** Ends the job as the full program does, with the ledger. */
function endInLedger(machine: CgroupMachine, job: RunningJob, { ending, measured }: WorkloadEnd): JobResult {
  const { fs: cgroupFs, hierarchies } = machine;
  const ledger = new Ledger(join(newState().path, "ledger.db"), console.log);
  const context = { host: { cgroupFs, ...END_MS }, hierarchies, ledger } as unknown as Context;
  ledger.register(job);
  const { isOurs, survivors } = recordExit(context, job, ending, { byParent: measured });
  expect([isOurs, survivors]).toEqual([true, []]);
  return ledger.result(job) as JobResult;
}

/** Returns the result that the ledger has after it has taken over the files of the inbox. */
function foldedResult(state: string, { key }: RunningJob): JobResult | undefined {
  const ledger = new Ledger(join(state, "ledger.db"), console.log);
  expect(ledger.job(key)).toMatchObject({ state: "ended", cleanedUp: true });
  return ledger.result({ key });
}

/** Creates the cgroups of a job of `run`, around which there can be another one of its own. */
function makeRunJob({ fs, hierarchies, origin }: CgroupMachine, asked: Limits): JobCgroup {
  const job = planJobCgroup(fs, hierarchies, origin, { name: JOB_NAME, limits: asked, hasWrapperSlot: true });
  createJobCgroup(job);
  return job;
}

/** Gives the cgroups their controllers before the job, so that a launch has to change no cgroup but its own. */
function enableControllers(machine: CgroupMachine): void {
  if (machine.version === 1) return;
  const [hierarchy] = machine.hierarchies;
  if (hierarchy === undefined) throw new Error("a machine has a hierarchy");
  const levels = directoryIn(hierarchy, machine.origin).slice(hierarchy.mountPoint.length).split("/");
  const controllers = machine.fs.read(`${hierarchy.mountPoint}/cgroup.controllers`).trim().split(" ");
  for (const [index] of levels.entries()) {
    const path = `${hierarchy.mountPoint}${levels.slice(0, index + 1).join("/")}`;
    writeAsOperator(
      machine,
      `${path}/cgroup.subtree_control`,
      controllers.map((name) => `+${name}`).join(" "),
    );
  }
}

const number = fc.nat({ max: 2 ** 40 });
const line = (name: string) => number.map((value) => `${name} ${value}`);
const lines = (...names: string[]) => fc.tuple(...names.map(line)).map((texts) => texts.join("\n"));
/** The files that count, as the kernel or a broken machine may show them. */
const counters: Record<1 | 2, Record<string, fc.Arbitrary<string>>> = {
  1: {
    "cpu.stat": lines("nr_periods", "nr_throttled", "throttled_time"),
    "cpuacct.usage": number.map(String),
    "cpuacct.usage_user": number.map(String),
    "cpuacct.usage_sys": number.map(String),
    "memory.max_usage_in_bytes": number.map(String),
    "memory.failcnt": fc.nat({ max: 2 }).map(String),
    "memory.oom_control": fc
      .nat({ max: 1 })
      .map((kills) => `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}`),
    "blkio.throttle.io_service_bytes_recursive": fc
      .tuple(number, number)
      .map(([read, write]) => `8:0 Read ${read}\n8:0 Write ${write}\n8:0 Total ${read + write}\nTotal 5`),
  },
  2: {
    "cpu.stat": lines("usage_usec", "user_usec", "system_usec", "throttled_usec"),
    "memory.peak": number.map(String),
    "memory.events": lines("max", "oom", "oom_kill"),
    "memory.events.local": lines("max", "oom"),
    "io.stat": fc
      .tuple(number, number)
      .map(([read, write]) => `8:0 rbytes=${read} wbytes=${write} rios=1 wios=1`),
    "cpu.pressure": number.map((usec) => `some avg10=0.00 avg60=0.00 avg300=0.00 total=${usec}`),
    "io.pressure": fc.constant(""),
  },
};

const endings: fc.Arbitrary<Ending> = fc.oneof(
  fc.record({
    kind: fc.constant("exited" as const),
    code: fc.nat({ max: 255 }),
    evidence: fc.constant("parent" as const),
  }),
  fc.record({
    kind: fc.constant("signaled" as const),
    signal: fc.constantFrom("SIGKILL", "SIGSEGV", "SIGRTMIN+3"),
    evidence: fc.constant("parent" as const),
  }),
  fc.constant({ kind: "exit-unknown" as const, reason: "the kernel told nothing" }),
);
const outcomes: fc.Arbitrary<LimitOutcome[]> = fc.subarray<LimitOutcome>([
  { limit: "memory.max", wanted: "134217728", outcome: "applied", actual: "134217728" },
  { limit: "cpu.max", wanted: "50000 100000", outcome: "partial", actual: "max 100000", because: "it is so" },
  { limit: "pids.max", wanted: "64", outcome: "refused", because: "EACCES (permission denied)" },
  { limit: "cpuset.cpus", wanted: "0", outcome: "refused", because: "it had ended", processHadEnded: true },
  { limit: "io.max", wanted: "8:0 rbps=1", outcome: "unsupported", because: "there is no such controller" },
]);
const measured: fc.Arbitrary<Partial<Usage>> = fc.record(
  { cpuUserUsec: number, cpuSystemUsec: number, memoryPeakBytes: number },
  { requiredKeys: [] },
);
const limits: fc.Arbitrary<Limits> = fc
  .subarray(Object.entries(LIMITS))
  .map((entries) => Object.fromEntries(entries) as Limits);

const FAKES: [string, () => FakeCgroups][] = [
  ["cgroup v1", () => fakeV1()],
  ["cgroup v1 with shared hierarchies", () => fakeV1({ together: ["cpu,cpuacct", "memory,pids"] })],
  ["cgroup v1 with one hierarchy", () => fakeV1({ together: ["cpuset,cpu,cpuacct,blkio,memory,pids"] })],
  ["cgroup v2", () => fakeV2()],
  // What no cgroup measures is known from wait4(2).
  ["cgroup v2 without memory", () => fakeV2({ offers: ["cpu", "pids"] })],
];

describe.each(FAKES)("on a fake machine with %s", (_name, makeFake) => {
  test("the end of a plain launch has the result that the full program records, field by field", () => {
    const version = makeFake().hierarchies[0]?.version ?? 2;
    const counts = fc.record(counters[version], { requiredKeys: [] });
    const property = fc.property(
      limits,
      outcomes,
      endings,
      measured,
      counts,
      (asked, had, ending, usage, files) => {
        const make = (): { machine: CgroupMachine; before: string[]; launch: LaunchedJob } => {
          const fake = makeFake();
          const machine = fakeMachine(fake);
          enableControllers(machine);
          const before = listAll(machine);
          const cgroup = makeRunJob(machine, asked);
          for (const { path } of cgroup.directories)
            for (const [file, text] of Object.entries(files)) {
              if (machine.fs.exists(`${path}/${file}`)) fake.set(`${path}/${file}`, text as string);
            }
          return { machine, before, launch: launched(cgroup, asked, had) };
        };
        const end: WorkloadEnd = { ending, measured: usage };
        const full = make();
        const expected = endInLedger(full.machine, full.launch.job, end);
        const lean = make();
        const state = newState();
        const job = { ...lean.launch.job, key: full.launch.job.key };
        const plain = recorded(state.inbox, {
          ...lean.launch,
          job,
          registered: { ...lean.launch.registered, key: job.key },
        });
        const ended = endPlainJob({ cgroupFs: lean.machine.fs, ...END_MS }, plain, end);
        expect(ended).toEqual({ kind: "closed", result: expected });
        expect(listAll(lean.machine)).toEqual(lean.before);
        expect(listAll(full.machine)).toEqual(full.before);
        expect(readdirSync(state.inbox)).toEqual([`${job.key}.done`]);
        expect(foldedResult(state.path, job)).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: 30, includeErrorInReport: true });
  }, 60_000);
});

for (const choice of MACHINES) {
  describeOn(choice, "the end of a plain launch", (it) => {
    const prepare = (machine: CgroupMachine) => {
      const state = newState();
      const cgroup = makeJob(machine, {});
      const isPlain = cgroup.changes.every(({ kind }) => kind !== "controller-enabled");
      return { state, cgroup, isPlain, plain: recorded(state.inbox, launched(cgroup, {}, [])) };
    };
    const endIt = (machine: CgroupMachine, plain: PlainJob) =>
      endPlainJob({ cgroupFs: machine.fs, ...END_MS }, plain, SUCCESS);

    it("removes its cgroups, and only them", (machine) => {
      const before = listAll(machine);
      const { state, isPlain, plain } = prepare(machine);
      const during = listAll(machine);
      expect(endIt(machine, plain).kind).toBe(isPlain ? "closed" : "open");
      // Controllers that a launch has enabled are disabled by the full program.
      expect(listAll(machine)).toEqual(isPlain ? before : during);
      expect(readdirSync(state.inbox)).toEqual([
        isPlain ? `${plain.job.key}.done` : `${plain.job.jobId}.job`,
      ]);
    });

    it("leaves a cgroup with a process in it, and the rest to the full program", (machine) => {
      const { state, cgroup, isPlain, plain } = prepare(machine);
      machine.start(...cgroup.directories.map(({ path }) => path));
      const during = listAll(machine);
      expect(endIt(machine, plain).kind).toBe(isPlain ? "result-written" : "open");
      expect(listAll(machine)).toEqual(during);
      expect(readdirSync(state.inbox)).toEqual([`${plain.job.jobId}.job`]);
    });

    it("does nothing after another ffrtmp has moved the job into the ledger", (machine) => {
      const { state, plain } = prepare(machine);
      const during = listAll(machine);
      renameSync(join(state.inbox, `${plain.job.jobId}.job`), join(state.inbox, "elsewhere"));
      expect(endIt(machine, plain)).toEqual({ kind: "open" });
      expect(listAll(machine)).toEqual(during);
    });

    it("is left to the full program where a cgroup of the job is gone", (machine) => {
      const { cgroup, plain } = prepare(machine);
      const [first] = cgroup.directories;
      machine.fs.rmdir(`${first?.path}`);
      expect(endIt(machine, plain)).toEqual({ kind: "open" });
    });

    it("is left to the full program where the job has more than cgroups of its own", (machine) => {
      const { plain } = prepare(machine);
      const { job } = plain;
      const [location] = job.cgroup;
      if (location === undefined) throw new Error("the job has a cgroup");
      const scope = { kind: "scope-started", manager: "system", unit: `${JOB_NAME}.scope` } as const;
      const tenant = {
        kind: "cgroup-created",
        hierarchy: location.hierarchy,
        path: "/x",
        role: "tenant",
      } as const;
      const unusual: RunningJob[] = [
        { ...job, changes: [scope, ...job.changes] },
        { ...job, changes: [tenant, ...job.changes] },
        { ...job, cgroup: [{ ...location, placedAs: "in-place" }] },
        { ...job, carriedUsage: UNKNOWN_USAGE },
      ];
      for (const each of unusual) expect(endIt(machine, { ...plain, job: each })).toEqual({ kind: "open" });
    });
  });
}
