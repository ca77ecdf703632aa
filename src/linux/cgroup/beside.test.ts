import { expect, test } from "bun:test";
import {
  describeOn,
  JOB_NAME,
  limitFiles,
  limitFromOutside,
  listAll,
  outcomeOf,
} from "../../../test/support/cgroupJobs.ts";
import {
  baseOf,
  type CgroupMachine,
  FAKE_V2,
  fakeMachine,
  originOf,
  REAL_V2,
  writeAsOperator,
} from "../../../test/support/cgroupMachines.ts";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import type { Limits } from "../../limits/limits.ts";
import type { CarriedFiles } from "../change.ts";
import { createJobCgroup, removeJobCgroup } from "./cgroupChanges.ts";
import { listLimitDrift } from "./effectiveLimits.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import { type JobCgroup, storeJobCgroup } from "./jobCgroup.ts";
import { applyCgroupLimits, expectedOutcomes, liftCgroupLimits, planLimits } from "./jobLimits.ts";
import { planJobCgroup } from "./planJobCgroup.ts";
import { readCarried } from "./v2/carried.ts";

const MIB = 1 << 20;
const LIMITS: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  memoryHighBytes: 64 * MIB,
  memoryMaxBytes: 128 * MIB,
  pidsMax: 64,
  cpus: "0",
};

function carriedFrom(machine: CgroupMachine): CarriedFiles {
  const carried = readCarried(machine.fs, originOf(machine));
  if (typeof carried === "string") throw new Error(carried);
  return carried;
}

function planBeside(machine: CgroupMachine, limits: Limits, nice = 0): JobCgroup {
  return planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
    name: JOB_NAME,
    limits,
    nice,
    place: { placedAs: "beside", parent: baseOf(machine), carried: carriedFrom(machine) },
  });
}

function makeBeside(machine: CgroupMachine, limits: Limits): JobCgroup {
  const job = planBeside(machine, limits);
  createJobCgroup(job);
  return job;
}

function pathOf(job: JobCgroup): string {
  return job.directories[0]?.path as string;
}

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "a job beside the cgroup of its processes", (it, itWithDisk) => {
    it("gets all limits, and changes neither that cgroup nor the one above", (machine) => {
      machine.start(originOf(machine));
      const before = listAll(machine);
      const job = makeBeside(machine, LIMITS);
      expect(pathOf(job)).toBe(`${baseOf(machine)}/${JOB_NAME}`);
      const outcomes = applyCgroupLimits(job, LIMITS).map(({ limit, outcome }) => `${limit} ${outcome}`);
      expect(outcomes).toEqual([
        "cpu.max applied",
        "memory.high applied",
        "memory.max applied",
        "pids.max applied",
        "cpuset.cpus applied",
      ]);
      expect(listAll(machine).filter((line) => !line.includes(JOB_NAME))).toEqual(before);
      expect(machine.fs.read(`${originOf(machine)}/cgroup.type`)).toBe("domain\n");
      machine.start(pathOf(job));
      expect(job.changes.filter(({ kind }) => kind === "controller-enabled")).toEqual([]);
    });

    itWithDisk(
      "gets io limits, and those of the cgroup that its processes left stay in force",
      (machine, disk) => {
        const limit = (rbps: number): Limits => ({ ioMax: [{ device: disk, rbps, wiops: 100 }] });
        limitFromOutside(machine, machine.origin, { ioMax: [{ device: disk, rbps: MIB }] });
        const job = makeBeside(machine, limit(2 * MIB));
        const outcome = outcomeOf(applyCgroupLimits(job, limit(2 * MIB)), "io.max");
        expect(outcome).toMatchObject({ outcome: "applied", actual: `${disk} rbps=1048576 wiops=100` });
        expect(machine.fs.read(`${baseOf(machine)}/${JOB_NAME}/io.max`)).toContain(`${disk} rbps=1048576 `);
      },
    );

    it("is never under a looser limit than in the cgroup that its processes left", (machine) => {
      limitFromOutside(machine, machine.origin, {
        cpuMax: { quotaUsec: 40_000, periodUsec: 100_000 },
        cpuWeight: 20,
        memoryMaxBytes: 100 * MIB,
        pidsMax: 50,
        cpus: "0",
      });
      machine.start(originOf(machine));
      const wanted: Limits = {
        cpuMax: { quotaUsec: 100_000, periodUsec: 200_000 },
        cpuWeight: 500,
        memoryMaxBytes: 200 * MIB,
        pidsMax: 500,
      };
      const job = makeBeside(machine, wanted);
      const carrier = `${baseOf(machine)}/${JOB_NAME}`;
      expect(pathOf(job)).toBe(`${carrier}/${JOB_NAME}`);
      const carried = { "cpu.max": "40000 100000", "cpu.weight": "20", "pids.max": "50", "cpuset.cpus": "0" };
      for (const [file, text] of Object.entries({ ...carried, "memory.max": String(100 * MIB) }))
        expect(machine.fs.read(`${carrier}/${file}`).trim()).toBe(text);
      const because = (actual: string): string => `not written: ${carrier} already limits it to ${actual}`;
      expect(applyCgroupLimits(job, wanted)).toMatchObject([
        { limit: "cpu.max", outcome: "applied", actual: "0.4 cores", because: because("0.4 cores") },
        { limit: "cpu.weight", outcome: "applied", actual: "20", because: because("20") },
        { limit: "memory.max", outcome: "applied", actual: String(100 * MIB) },
        { limit: "pids.max", outcome: "applied", actual: "50", because: because("50") },
      ]);
    });

    it("keeps a limit of the cgroup that its processes left when its own is lifted", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50 });
      const job = makeBeside(machine, { pidsMax: 20 });
      expect(applyCgroupLimits(job, { pidsMax: 20 })).toMatchObject([{ outcome: "applied", actual: "20" }]);
      expect(applyCgroupLimits(job, { pidsMax: 400 })).toMatchObject([{ outcome: "applied", actual: "50" }]);
      expect(machine.fs.read(`${baseOf(machine)}/${JOB_NAME}/pids.max`)).toBe("50\n");
    });

    it("has its weight among the cgroups beside it, and never more than the one that its processes left", (machine) => {
      limitFromOutside(machine, machine.origin, { cpuWeight: 40, pidsMax: 50 });
      const job = makeBeside(machine, { cpuWeight: 20 });
      const weight = (): string => machine.fs.read(`${baseOf(machine)}/${JOB_NAME}/cpu.weight`).trim();
      for (const [cpuWeight, actual] of [
        [20, "20"],
        [30, "30"],
      ] as const) {
        expect(applyCgroupLimits(job, { cpuWeight })).toMatchObject([{ outcome: "applied", actual }]);
        expect(weight()).toBe(actual);
        expect(listLimitDrift(job, { cpuWeight })).toEqual([]);
      }
      expect(applyCgroupLimits(job, { cpuWeight: 500 })).toMatchObject([
        { outcome: "applied", actual: "40" },
      ]);
      expect(listLimitDrift(job, { cpuWeight: 500 })).toEqual([]);
      // As when a limit is changed or removed.
      expect(liftCgroupLimits(job, ["cpu.weight"])).toEqual([]);
      expect(weight()).toBe("40");
      writeAsOperator(machine, `${baseOf(machine)}/${JOB_NAME}/cpu.weight`, "100");
      expect(listLimitDrift(job, { cpuWeight: 20 })).toMatchObject([{ limit: "cpu.weight", found: "100" }]);
    });

    it("has its weight on the carrier where none is carried, which goes back to the default", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50 });
      const job = makeBeside(machine, { cpuWeight: 200 });
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(applyCgroupLimits(found, { cpuWeight: 200 })).toMatchObject([
        { outcome: "applied", actual: "200" },
      ]);
      const carrier = `${baseOf(machine)}/${JOB_NAME}`;
      expect(machine.fs.read(`${carrier}/cpu.weight`)).toBe("200\n");
      expect(liftCgroupLimits(found, ["cpu.weight"])).toEqual([]);
      expect(machine.fs.read(`${carrier}/cpu.weight`)).toBe("100\n");
    });

    it("is planned without a write, with the outcomes that it then has", (machine) => {
      limitFromOutside(machine, machine.origin, { memoryMaxBytes: 100 * MIB });
      const before = listAll(machine);
      const limits = { cpuWeight: 50, memoryMaxBytes: 200 * MIB, pidsMax: 20 };
      const planned = planBeside(machine, limits);
      const expected = expectedOutcomes(planned, planLimits(planned, limits));
      expect(listAll(machine)).toEqual(before);
      createJobCgroup(planned);
      expect(applyCgroupLimits(planned, limits)).toEqual(expected);
    });

    it("gets controllers that its limits need from the cgroups above, until its end", (machine) => {
      const file = `${baseOf(machine)}/cgroup.subtree_control`;
      machine.start(originOf(machine));
      machine.fs.write(file, "-memory -io -cpu");
      const before = listAll(machine);
      const job = makeBeside(machine, { memoryMaxBytes: MIB });
      expect(applyCgroupLimits(job, { memoryMaxBytes: MIB })).toMatchObject([{ outcome: "applied" }]);
      // Nothing is enabled there only to measure.
      for (const controller of ["io", "cpu "]) expect(machine.fs.read(file)).not.toContain(controller);
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("is found again by another ffrtmp from the ledger at every step, and removed without a trace", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50, memoryMaxBytes: 100 * MIB });
      machine.start(originOf(machine));
      const before = listAll(machine);
      const stored = JSON.parse(JSON.stringify(storeJobCgroup(planBeside(machine, LIMITS))));
      let steps = 0;
      for (let isWhole = false; !isWhole; steps++) {
        let left = steps;
        const dying = (): void => {
          if (left-- === 0) throw Object.assign(new Error("killed"), { code: "KILLED" });
        };
        const fs = {
          ...machine.fs,
          write(path: string, data: string) {
            dying();
            machine.fs.write(path, data);
          },
          mkdir(path: string) {
            dying();
            machine.fs.mkdir(path);
          },
          // A process that was killed undoes nothing.
          rmdir: () => {},
        };
        const job = planBeside({ ...machine, fs }, LIMITS);
        createJobCgroup(job);
        isWhole = left > 0;
        expect(removeJobCgroup(findJobCgroup(machine.fs, machine.hierarchies, stored))).toEqual([]);
        expect(listAll(machine)).toEqual(before);
      }
      expect(steps).toBeGreaterThan(5);
    });

    it("does not replace a cgroup that has processes, and changes nothing", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50 });
      const existing = makeBeside(machine, LIMITS);
      const pid = machine.start(pathOf(existing));
      const before = [listAll(machine), limitFiles(machine, existing)];
      expect(() => makeBeside(machine, LIMITS)).toThrow(`contains processes already: ${pid}`);
      expect([listAll(machine), limitFiles(machine, existing)]).toEqual(before);
    });

    it("is not made where the kernel refuses a limit that it must carry", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50, memoryMaxBytes: 100 * MIB });
      const before = listAll(machine);
      const fs = {
        ...machine.fs,
        write(path: string, data: string) {
          if (path.endsWith("/memory.max")) throw Object.assign(new Error(), { code: "EACCES" });
          machine.fs.write(path, data);
        },
      };
      const job = makeBeside({ ...machine, fs }, { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } });
      expect(job.directories).toEqual([]);
      expect(job.changes).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("carries nothing of a cgroup that limits nothing itself", (machine) => {
      limitFromOutside(machine, machine.base, { pidsMax: 500 });
      limitFromOutside(machine, machine.origin, { cpuWeight: 200 });
      expect(carriedFrom(machine)).toEqual({});
    });
  });
}

describeOn(REAL_V2, "a limit that a cgroup beside its own would not have", (it) => {
  it("keeps the workload in its cgroup", (machine) => {
    writeAsOperator(machine, `${originOf(machine)}/cgroup.max.depth`, "5");
    const because = `${originOf(machine)} has cgroup.max.depth 5, which cannot be carried to another cgroup`;
    expect(readCarried(machine.fs, originOf(machine))).toBe(because);
  });

  it("is carried for cpu.idle, without the weight that it replaces", (machine) => {
    writeAsOperator(machine, `${originOf(machine)}/cpu.idle`, "1");
    expect(readCarried(machine.fs, originOf(machine))).toEqual({ "cpu.idle": "1" });
  });

  it("is carried for swap", (machine) => {
    writeAsOperator(machine, `${originOf(machine)}/memory.swap.max`, String(MIB));
    expect(readCarried(machine.fs, originOf(machine))).toEqual({ "memory.swap.max": String(MIB) });
  });
});

test.each([
  ["cpu.idle", "0", true],
  ["cpu.uclamp.max", "50.00", false],
  ["cpu.uclamp.max", "max", true],
  ["memory.swap.high", "1048576", false],
  ["memory.low", "1048576", true],
  ["io.weight", "default 50", false],
  ["io.weight", "default 100\n8:0 20", false],
  ["io.weight", "default 100\n8:0 200", true],
  ["io.prio.class", "idle", false],
  ["cpuset.cpus.partition", "root", false],
  ["hugetlb.2MB.rsvd.max", "2097152", false],
  ["hugetlb.2MB.max", "max", true],
  ["rdma.max", "mlx4_0 hca_handle=2 hca_object=max", false],
  ["rdma.max", "mlx4_0 hca_handle=max hca_object=max", true],
  ["misc.max", "sev 5", false],
  ["misc.max", "sev max", true],
  ["cgroup.max.descendants", "8", false],
  ["cgroup.freeze", "1", false],
])("%s with %j keeps a workload in its cgroup, unless it limits nothing", (file, text, limitsNothing) => {
  const fs = { ...fakeV2().fs, files: () => [file], read: () => `${text}\n` };
  const because = `/sys/fs/cgroup/a has ${file} ${text.replace("\n", "; ")}, which cannot be carried to another cgroup`;
  expect(readCarried(fs, "/sys/fs/cgroup/a")).toEqual(limitsNothing ? {} : because);
});

test("a job without limits beside another cgroup, or in the root of all, changes no controller to measure", async () => {
  await using machine = fakeMachine(fakeV2());
  machine.start(originOf(machine));
  machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -io -cpu -pids -cpuset");
  const enabledBy = ({ changes }: JobCgroup): string[] =>
    changes.flatMap((change) => (change.kind === "controller-enabled" ? change.controller : []));
  expect(enabledBy(planBeside(machine, {}))).toEqual([]);
  // The weight of the job's cgroup represents the nice value.
  expect(enabledBy(planBeside(machine, {}, 10))).toEqual(["cpu"]);
  const fake = fakeV2();
  const planAtRoot = (limits: Limits): JobCgroup =>
    planJobCgroup(fake.fs, fake.hierarchies, new Map([["", "/"]]), { name: JOB_NAME, limits, nice: 0 });
  expect(enabledBy(planAtRoot({}))).toEqual([]);
  expect(enabledBy(planAtRoot({ memoryMaxBytes: MIB }))).toEqual(["memory"]);
});
