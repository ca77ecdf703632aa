import { expect, test } from "bun:test";
import {
  describeOn,
  limitFromOutside,
  listAll,
  makeJob,
  outcomeOf,
} from "../../../test/support/cgroupJobs.ts";
import {
  type CgroupMachine,
  directoryIn,
  FAKE_V1,
  FAKE_V2,
  fakeMachine,
  REAL_V1,
  REAL_V2,
} from "../../../test/support/cgroupMachines.ts";
import { fakeV1 } from "../../../test/support/fakeCgroups.ts";
import type { Limits } from "../../limits/limits.ts";
import { CGROUP_LIMITS } from "../../limits/table.ts";
import { createJobCgroup, removeJobCgroup } from "./cgroupChanges.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import { type JobCgroup, storeJobCgroup, tenantCgroupOf } from "./jobCgroup.ts";
import { applyCgroupLimits, applyTenantLimits, liftCgroupLimits } from "./jobLimits.ts";
import { planJobCgroup } from "./planJobCgroup.ts";

const MIB = 1024 * 1024;
const TOTAL: Limits = {
  cpuMax: { quotaUsec: 100_000, periodUsec: 100_000 },
  memoryMaxBytes: 256 * MIB,
  pidsMax: 100,
};
const ACME = { name: "ffrtmp-1f3a9c-@acme", limits: TOTAL };

function makeTenantJob(machine: CgroupMachine, jobId: string, limits: Limits = {}): JobCgroup {
  const name = `ffrtmp-1f3a9c-${jobId}`;
  const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, { name, limits, tenant: ACME });
  createJobCgroup(job);
  return job;
}

function tenantDirectories(machine: CgroupMachine): string[] {
  return machine.hierarchies
    .map((hierarchy) => `${directoryIn(hierarchy, machine.origin)}/${ACME.name}`)
    .filter((path) => machine.fs.exists(path));
}

for (const choice of [FAKE_V1, REAL_V1, FAKE_V2, REAL_V2]) {
  describeOn(choice, "the jobs of a tenant", (it) => {
    it("are in one cgroup, which has their total", (machine) => {
      const jobs = [makeTenantJob(machine, "one"), makeTenantJob(machine, "two")];
      const outcomes = jobs.map((job) => applyTenantLimits(job, TOTAL));
      for (const each of outcomes) {
        expect(each.map(({ limit, of, outcome }) => `${of} ${limit} ${outcome}`)).toEqual([
          "tenant cpu.max applied",
          "tenant memory.max applied",
          "tenant pids.max applied",
        ]);
      }
      for (const { directories } of jobs) {
        for (const { path, tenant } of directories) expect(path.startsWith(`${tenant}/`)).toBeTrue();
      }
      expect(new Set(jobs.flatMap(({ directories }) => directories.map(({ tenant }) => tenant)))).toEqual(
        new Set(tenantDirectories(machine)),
      );
    });

    it("get no looser limit than their total, which the outcome reports", (machine) => {
      const limits: Limits = { cpuMax: { quotaUsec: 200_000, periodUsec: 100_000 }, pidsMax: 50 };
      const job = makeTenantJob(machine, "one", limits);
      applyTenantLimits(job, TOTAL);
      const outcomes = applyCgroupLimits(job, limits);
      expect(outcomeOf(outcomes, "cpu.max").heldBy).toEndWith(ACME.name);
      expect(outcomeOf(outcomes, "pids.max")).toEqual({
        limit: "pids.max",
        outcome: "applied",
        wanted: "50",
        actual: "50",
      });
    });

    it("keep the tenant's cgroup for each other, and the last one removes it", (machine) => {
      const before = listAll(machine);
      const one = makeTenantJob(machine, "one");
      const two = makeTenantJob(machine, "two");
      expect(removeJobCgroup(two)).toEqual([]);
      expect(tenantDirectories(machine)).not.toEqual([]);
      const restored = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(one));
      expect(removeJobCgroup(restored)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("take a process in, whatever limits they share", (machine) => {
      const job = makeTenantJob(machine, "one", { cpus: "0" });
      applyTenantLimits(job, TOTAL);
      const pid = machine.start();
      for (const { path } of job.directories) machine.fs.write(`${path}/cgroup.procs`, String(pid));
      expect(
        job.directories.every(({ path }) => machine.fs.read(`${path}/cgroup.procs`) === `${pid}\n`),
      ).toBeTrue();
    });

    it("have no total after it is lifted, but still the limits above", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 80 });
      const job = makeTenantJob(machine, "one", { pidsMax: 20 });
      expect(outcomeOf(applyTenantLimits(job, TOTAL), "pids.max").heldBy).toEndWith("origin");
      applyCgroupLimits(job, { pidsMax: 20 });
      expect(liftCgroupLimits(tenantCgroupOf(job), ["cpu.max", "memory.max", "pids.max"])).toEqual([]);
      expect(liftCgroupLimits(job, ["pids.max"])).toEqual([]);
      const fresh = makeTenantJob(machine, "fresh");
      const files = ["cpu.max", "cpu.cfs_quota_us", "memory.max", "memory.limit_in_bytes", "pids.max"];
      const read = ({ directories }: JobCgroup, where: "path" | "tenant") =>
        directories.flatMap((directory) =>
          files
            .map((file) => `${directory[where]}/${file}`)
            .filter((path) => machine.fs.exists(path))
            .map((path) => machine.fs.read(path)),
        );
      expect(read(job, "tenant")).toEqual(read(fresh, "path"));
      expect(read(job, "path")).toEqual(read(fresh, "path"));
    });
  });

  describeOn(choice, "a lifted limit", (it, itWithDisk) => {
    const expectAsMade = (machine: CgroupMachine, limits: Limits): void => {
      const job = makeJob(machine, limits);
      const content = (): string[] =>
        job.directories
          .flatMap(({ path, controllers }) =>
            controllers.length === 0 ? [] : LIMIT_FILES.map((file) => `${path}/${file}`),
          )
          .filter((path) => machine.fs.exists(path))
          .map((path) => `${path} ${machine.fs.read(path)}`);
      const before = content();
      applyCgroupLimits(job, limits);
      expect(content()).not.toEqual(before);
      expect(liftCgroupLimits(job, CGROUP_LIMITS)).toEqual([]);
      expect(content()).toEqual(before);
    };

    it("leaves a cgroup as it was created, whatever the limit", (machine) => {
      expectAsMade(machine, { ...TOTAL, cpuWeight: 50, memoryHighBytes: 64 * MIB, cpus: "0" });
    });

    itWithDisk("leaves a cgroup as it was created when it was a limit of a disk", (machine, disk) => {
      expectAsMade(machine, { ioMax: [{ device: disk, rbps: MIB, wiops: 100 }] });
    });
  });
}

const LIMIT_FILES = [
  ...["cpu.max", "cpu.weight", "memory.high", "memory.max", "io.max", "pids.max", "cpuset.cpus"],
  ...["cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares"],
  ...["memory.soft_limit_in_bytes", "memory.limit_in_bytes"],
  ...["read_bps", "write_bps", "read_iops", "write_iops"].map((rate) => `blkio.throttle.${rate}_device`),
];

test("a total of io is unsupported on cgroup v1, which throttles each cgroup separately", async () => {
  await using machine = fakeMachine(fakeV1());
  const job = makeTenantJob(machine, "one");
  expect(applyTenantLimits(job, { ioMax: [{ device: "8:0", rbps: MIB }] })).toEqual([
    {
      limit: "io.max",
      of: "tenant",
      outcome: "unsupported",
      wanted: `8:0 rbps=${MIB}`,
      because: "cgroup v1 does not add up io.max of several cgroups",
    },
  ]);
});
