import { expect, test } from "bun:test";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { Limits } from "../../limits/limits.ts";
import { readMembership } from "../../linux/cgroup/hierarchies.ts";
import { detach } from "../attach/detach.ts";
import { changeLimits } from "../limits/changeLimits.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf, usageOf } from "./jobCgroup.ts";

const { openHybridOwner } = useGovernedFakes();
const UNIT = "/system.slice/encoder.service";
const CPU = `/sys/fs/cgroup/cpu${UNIT}`;
const HALF_A_CORE: Limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };

function placeOf({ context }: FakeOwner, pid: number): string | undefined {
  const membership = readMembership(context.host, pid);
  return membership === "gone" ? undefined : membership.get("cpu");
}

function governTwo() {
  const machine = openHybridOwner();
  machine.start(4026, 1, UNIT);
  machine.start(4027, 4026, UNIT);
  const job = machine.govern(4026, HALF_A_CORE);
  expect(placeOf(machine, 4027)).toStartWith(`${UNIT}/ffrtmp-`);
  return { machine, job };
}

test("a job that has no limit on CPU time any more is among the threads beside it again", () => {
  const { machine, job } = governTwo();
  const { context, fake } = machine;
  let changed = changeLimits(context, job, { limits: { pidsMax: 50 } }, "test");
  for (const pid of [4026, 4027]) expect(placeOf(machine, pid)).toBe(UNIT);
  expect(fake.fs.children(CPU)).toEqual([]);
  expect(changed.changes.some((change) => "hierarchy" in change && change.hierarchy === "cpu")).toBeFalse();
  expect(context.ledger.job(job.key)).toEqual(changed);

  changed = changeLimits(context, changed, { limits: HALF_A_CORE }, "test");
  expect(placeOf(machine, 4027)).toStartWith(`${UNIT}/ffrtmp-`);
  expect(changed.outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
  detach(context, changed, jobCgroupOf(context, changed));
  for (const pid of [4026, 4027]) expect(placeOf(machine, pid)).toBe(UNIT);
  for (const { mountPoint } of context.hierarchies)
    expect(fake.fs.children(`${mountPoint}${UNIT}`)).toEqual([]);
});

test("a job stays in its cgroup for CPU time while a weight, its tenant or a cgroup of its own needs it", () => {
  const weighted = governTwo();
  changeLimits(weighted.machine.context, weighted.job, { limits: { cpuWeight: 50 } }, "test");
  expect(placeOf(weighted.machine, 4026)).toStartWith(`${UNIT}/ffrtmp-`);

  const total = governTwo();
  const tenant = { name: "acme", limits: HALF_A_CORE };
  changeLimits(total.machine.context, total.job, { limits: {}, tenant }, "test");
  expect(placeOf(total.machine, 4026)).toContain("@acme/");

  const divided = governTwo();
  divided.machine.fake.fs.mkdir(`/sys/fs/cgroup/cpu${placeOf(divided.machine, 4026)}/its-own`);
  const changed = changeLimits(divided.machine.context, divided.job, { limits: {} }, "test");
  expect(placeOf(divided.machine, 4026)).toStartWith(`${UNIT}/ffrtmp-`);
  expect(changed.cgroup.map(({ hierarchy }) => hierarchy)).toContain("cpu");
});

test("a change of its limits puts a job into the total of CPU time that its tenant has by now", () => {
  const machine = openHybridOwner();
  for (const pid of [4026, 4027]) machine.start(pid, 1, UNIT);
  const early = machine.govern(4026, {}, { jobId: "early", tenant: { name: "acme", limits: {} } });
  expect(placeOf(machine, 4026)).toBe(UNIT);
  machine.govern(4027, {}, { jobId: "late", tenant: { name: "acme", limits: HALF_A_CORE } });
  expect(placeOf(machine, 4027)).toContain("@acme/");
  changeLimits(machine.context, early, { byHand: { pidsMax: 50 } }, "by hand");
  expect(placeOf(machine, 4026)).toContain("@acme/");
});

test("a process that cannot leave keeps the job in its cgroup for CPU time", () => {
  const { machine, job } = governTwo();
  const { context } = machine;
  const write = (path: string, data: string): void => {
    if (path === `${CPU}/cgroup.procs` && data === "4027")
      throw Object.assign(new Error("EACCES"), { code: "EACCES" });
    context.host.cgroupFs.write(path, data);
  };
  const host = { ...context.host, cgroupFs: { ...context.host.cgroupFs, write } };
  const changed = changeLimits({ ...context, host }, job, { limits: {} }, "test");
  for (const pid of [4026, 4027]) expect(placeOf(machine, pid)).toStartWith(`${UNIT}/ffrtmp-`);
  expect(changed.cgroup.map(({ hierarchy }) => hierarchy)).toContain("cpu");
});

test("the time that a quota stopped a job counts on with a later quota, and is unknown in between", () => {
  const { machine, job } = governTwo();
  const { context, fake } = machine;
  fake.set(`/sys/fs/cgroup/cpu${placeOf(machine, 4026)}/cpu.stat`, "throttled_time 7000000\n");
  const used = (each: RunningJob) => usageOf(each, jobCgroupOf(context, each));
  const changed = changeLimits(context, job, { limits: {} }, "test");
  expect(used(changed)).toMatchObject({ throttledUsec: null, cpuUserUsec: 0 });
  const again = changeLimits(context, changed, { limits: HALF_A_CORE }, "test");
  expect(used(again)).toMatchObject({ throttledUsec: 7000, cpuUserUsec: 0 });
});

test.each([0, 3_000_000])(
  "CPU time that cpu,cpuacct has counted stays counted where the companion has %d ns of it",
  (nsec) => {
    const machine = openHybridOwner(["cpu,cpuacct"]);
    const { context, fake } = machine;
    machine.start(4026, 1, UNIT);
    const job = machine.govern(4026, HALF_A_CORE);
    const [cpu, companion] = ["cpu,cpuacct", ""].map(
      (key) => job.cgroup.find(({ hierarchy }) => hierarchy === key)?.path,
    );
    for (const file of ["usage", "usage_user"]) fake.set(`${cpu}/cpuacct.${file}`, "5000000\n");
    const usec = nsec / 1000;
    fake.set(`${companion}/cpu.stat`, `usage_usec ${usec}\nuser_usec ${usec}\nsystem_usec 0\n`);
    const changed = changeLimits(context, job, { limits: {} }, "test");
    expect(changed.cgroup.map(({ path }) => path)).not.toContain(cpu as string);
    expect(usageOf(changed, jobCgroupOf(context, changed))).toMatchObject({
      cpuUserUsec: 5000,
      cpuSystemUsec: 0,
    });
  },
);
