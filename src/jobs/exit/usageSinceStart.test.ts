import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JOB_NAME, makeJob } from "../../../test/support/cgroupJobs.ts";
import { directoryIn, fakeMachine } from "../../../test/support/cgroupMachines.ts";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { someJob } from "../../../test/support/jobs.ts";
import { Ledger } from "../../ledger/ledger.ts";
import { type Usage, withUnknown } from "../../limits/usage.ts";
import { backendOf } from "../../linux/cgroup/backends.ts";
import { createJobCgroup } from "../../linux/cgroup/cgroupChanges.ts";
import { findJobCgroup } from "../../linux/cgroup/findJobCgroup.ts";
import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import { type JobCgroup, storeJobCgroup } from "../../linux/cgroup/jobCgroup.ts";
import { applyCgroupLimits, applyTenantLimits } from "../../linux/cgroup/jobLimits.ts";
import { recordCounters } from "../../linux/cgroup/jobUsage.ts";
import { planJobCgroup } from "../../linux/cgroup/planJobCgroup.ts";
import type { CgroupFs } from "../../linux/cgroupFs.ts";
import type { Context } from "../context.ts";
import { endingOfStatus } from "../model/ending.ts";
import { usageOf } from "../placement/jobCgroup.ts";
import { measureAtEnd, recordExit } from "./recordExit.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

const MIB = 1024 ** 2;
const LIMITS = { memoryMaxBytes: 128 * MIB };

/** The counters of a cgroup. */
interface Counts {
  cpuSeconds: number;
  throttledUsec: number;
  peakBytes: number;
  ooms: number;
  kills: number;
  readBytes: number;
  pressureUsec: number;
}

const BEFORE: Counts = {
  cpuSeconds: 100,
  throttledUsec: 5000,
  peakBytes: 90 * MIB,
  ooms: 3,
  kills: 2,
  readBytes: 1_000_000,
  pressureUsec: 700,
};

test("the usage of a job in its owner's cgroup is counted from the start of the job", async () => {
  await using owner = ownersCgroup();
  owner.count({
    ...BEFORE,
    cpuSeconds: 101,
    throttledUsec: 5500,
    peakBytes: 120 * MIB,
    readBytes: 1_500_000,
    pressureUsec: 1700,
  });
  expect(owner.usage()).toEqual({
    cpuUserUsec: 1_000_000,
    cpuSystemUsec: 0,
    throttledUsec: 500,
    memoryPeakBytes: 120 * MIB,
    memoryMaxHits: 0,
    oomKills: 0,
    ioReadBytes: 500_000,
    ioWriteBytes: 0,
    cpuPressureUsec: 1000,
    memoryPressureUsec: 1000,
    ioPressureUsec: 1000,
  });
});

test("a memory peak from before the job started is not the job's, and the job's own peak is unknown", async () => {
  await using owner = ownersCgroup();
  expect(owner.usage().memoryPeakBytes).toBeNull();
});

test("a counter that was reset during the job is unknown", async () => {
  await using owner = ownersCgroup();
  owner.count({ ...BEFORE, throttledUsec: 10 });
  expect(owner.usage()).toMatchObject({ throttledUsec: null, cpuUserUsec: 0 });
});

test("an OOM kill before the start of the job is no violation, one after it is", async () => {
  for (const [kills, reason] of [
    [BEFORE.kills, "ended_by_signal"],
    [BEFORE.kills + 1, "killed_at_our_memory_cap"],
  ] as const) {
    await using owner = ownersCgroup();
    owner.count({ ...BEFORE, kills, ooms: BEFORE.ooms + kills - BEFORE.kills });
    const { result } = owner.close();
    expect(result).toMatchObject({ slaReason: reason, usage: { oomKills: kills - BEFORE.kills } });
  }
});

test("the usage at the end of the job counts, not that of a service that was restarted in the same cgroup", async () => {
  await using owner = ownersCgroup();
  owner.count({ ...BEFORE, cpuSeconds: 130 });
  const atEnd = measureAtEnd(owner.context, { ...owner.job, mode: "attach" });
  owner.count({ ...BEFORE, cpuSeconds: 101 });
  expect(owner.close({ atEnd }).result.usage).toMatchObject({ cpuUserUsec: 30_000_000 });
});

test("the usage of a job is unknown where the counters at its start were not recorded", async () => {
  await using owner = ownersCgroup();
  for (const stored of owner.job.cgroup) delete stored.countedBefore;
  expect(new Set(Object.values(owner.usage()))).toEqual(new Set([null]));
  expect(owner.close().result).toMatchObject({ slaReason: "ended_by_signal" });
});

test("a counter that was reset by disabling and enabling its controller is unknown", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };
  const { fs, hierarchies } = machine;
  const made = makeJob(machine, limits);
  const [own] = made.directories;
  if (!own) throw new Error("the job has a directory");
  const find = (): JobCgroup => findJobCgroup(fs, hierarchies, storeJobCgroup(made));
  const restore = (): (keyof Usage)[] => {
    const job = find();
    return job.directories.flatMap((directory) =>
      backendOf(directory.hierarchy).restoreControllers(job, directory, limits),
    );
  };
  expect(restore()).toEqual([]);
  fs.write(`${own.origin}/cgroup.subtree_control`, "-cpu");
  const forgotten = restore();
  expect(forgotten).toEqual(["throttledUsec"]);
  fake.set(`${own.path}/cpu.stat`, "user_usec 5\nsystem_usec 1\nthrottled_usec 7");
  const carriedUsage = withUnknown(null, forgotten);
  expect(usageOf(someJob({ carriedUsage }), find())).toMatchObject({ cpuUserUsec: 5, throttledUsec: null });
});

for (const hits of [4, 5]) {
  test(`${hits - 4} of ${hits} hits of a tenant's total, those since the start of a job, decide its verdict`, async () => {
    const fake = fakeV2();
    await using machine = fakeMachine(fake);
    const { fs, hierarchies } = machine;
    const acme = { name: "ffrtmp-1f3a9c-@acme", limits: LIMITS };
    const planned = planJobCgroup(fs, hierarchies, machine.origin, {
      name: JOB_NAME,
      limits: {},
      tenant: acme,
    });
    createJobCgroup(planned);
    const [own] = planned.directories;
    const hit = (count: number): void =>
      fake.set(`${own?.tenant}/memory.events.local`, `max 9\noom ${count}\noom_kill 0`);
    hit(4);
    recordCounters(planned);
    const outcomes = applyTenantLimits(planned, LIMITS);
    const job = someJob({ tenant: "acme", ...storeJobCgroup(planned), outcomes });
    const context = governorOf(fs, hierarchies);
    context.ledger.register(job);
    hit(hits);
    fake.set(`${own?.path}/memory.events`, "max 0\noom 0\noom_kill 1");
    const reason = hits > 4 ? "killed_at_tenants_memory_cap" : "ended_by_signal";
    expect(recordExit(context, job, endingOfStatus(9, "parent")).result.slaReason).toBe(reason);
  });
}

function governorOf(cgroupFs: CgroupFs, hierarchies: Hierarchy[]): Context {
  const ledger = new Ledger(join(directory, `${Bun.randomUUIDv7()}.db`), console.log);
  return { host: { cgroupFs, now: Date.now, bootNow: Date.now }, hierarchies, ledger } as unknown as Context;
}

/** Creates a cgroup with counters, and a job that starts in it, as the next ffrtmp reads it from the ledger. */
function ownersCgroup() {
  const fake = fakeV2();
  const machine = fakeMachine(fake);
  const { fs, hierarchies } = machine;
  const path = directoryIn(hierarchies[0] as Hierarchy, machine.origin);
  const count = (counts: Counts): void => {
    const events = `max 9\noom ${counts.ooms}\noom_kill ${counts.kills}`;
    const files: Record<string, string> = {
      "cpu.stat": `user_usec ${counts.cpuSeconds}000000\nsystem_usec 0\nthrottled_usec ${counts.throttledUsec}`,
      "memory.peak": String(counts.peakBytes),
      "memory.events": events,
      "memory.events.local": events,
      "io.stat": `8:0 rbytes=${counts.readBytes} wbytes=0 rios=1 wios=1`,
    };
    for (const resource of ["cpu", "memory", "io"])
      files[`${resource}.pressure`] = `some avg10=0.12 avg60=0.02 avg300=0.00 total=${counts.pressureUsec}`;
    for (const [file, text] of Object.entries(files)) fake.set(`${path}/${file}`, text);
  };
  count(BEFORE);
  const place = { placedAs: "in-place" } as const;
  const cgroup = planJobCgroup(fs, hierarchies, machine.origin, {
    name: JOB_NAME,
    limits: LIMITS,
    place: place,
  });
  createJobCgroup(cgroup);
  recordCounters(cgroup);
  const outcomes = applyCgroupLimits(cgroup, LIMITS);
  const job = someJob({ ...storeJobCgroup(cgroup), outcomes, limits: LIMITS });
  const context = governorOf(fs, hierarchies);
  const { ledger } = context;
  ledger.register(job);
  return {
    job,
    count,
    usage: () => usageOf(job, findJobCgroup(fs, hierarchies, job)),
    context,
    close: (measures?: Parameters<typeof recordExit>[3]) => {
      return recordExit(context, ledger.recordJournal(job, job), endingOfStatus(9, "parent"), measures);
    },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}
