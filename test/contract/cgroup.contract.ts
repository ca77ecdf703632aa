import { expect } from "bun:test";
import type { Limits } from "../../src/limits/limits.ts";
import type { CgroupLimitName } from "../../src/limits/table.ts";
import type { Usage } from "../../src/limits/usage.ts";
import { CgroupInUse, createJobCgroup, removeJobCgroup } from "../../src/linux/cgroup/cgroupChanges.ts";
import { findJobCgroup } from "../../src/linux/cgroup/findJobCgroup.ts";
import type { Hierarchy, Membership } from "../../src/linux/cgroup/hierarchies.ts";
import { type JobCgroup, listMembers, storeJobCgroup } from "../../src/linux/cgroup/jobCgroup.ts";
import { counterReader, detailReader } from "../../src/linux/cgroup/jobCounters.ts";
import { applyCgroupLimits } from "../../src/linux/cgroup/jobLimits.ts";
import { readUsage } from "../../src/linux/cgroup/jobUsage.ts";
import { planJobCgroup } from "../../src/linux/cgroup/planJobCgroup.ts";
import { joinThread, leaveThread } from "../../src/linux/cgroup/startingThread.ts";
import {
  describeOn,
  JOB_NAME,
  LIMITS,
  limitFiles,
  limitFromOutside,
  listAll,
  makeJob,
  outcomeOf,
  V1_IO_FILES,
} from "../support/cgroupJobs.ts";
import {
  type CgroupMachine,
  directoryIn,
  type MachineChoice,
  makeUsable,
} from "../support/cgroupMachines.ts";

const MIB = 1024 * 1024;

/** The files of each version, and their content after LIMITS were applied. */
const APPLIED_FILES: Record<1 | 2, [file: string, text: string][]> = {
  1: [
    ["cpu.cfs_quota_us", "50000"],
    ["cpu.cfs_period_us", "100000"],
    ["cpu.shares", "512"],
    ["memory.soft_limit_in_bytes", "67108864"],
    ["memory.limit_in_bytes", "134217728"],
    ["pids.max", "64"],
    ["cpuset.cpus", "0"],
  ],
  2: [
    ["cpu.max", "50000 100000"],
    ["cpu.weight", "50"],
    ["memory.high", "67108864"],
    ["memory.max", "134217728"],
    ["pids.max", "64"],
    ["cpuset.cpus", "0"],
  ],
};

/** The contract of a job's cgroup, on every machine. */
export function describeJobCgroup(choice: MachineChoice): void {
  describeOn(choice, "a job's cgroup", (it, itWithDisk) => {
    it("is planned below the cgroup of the processes without writing anything", (machine) => {
      const before = listAll(machine);
      const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
        name: JOB_NAME,
        limits: LIMITS,
      });
      expect(listAll(machine)).toEqual(before);
      expect(job.unavailable).toEqual([]);
      expect(job.directories.map(({ path }) => path)).toEqual(
        machine.hierarchies.map((hierarchy) => `${directoryIn(hierarchy, machine.origin)}/${JOB_NAME}`),
      );
    });

    it("has every requested limit, and the outcomes report the kernel's values", (machine) => {
      const job = makeJob(machine, LIMITS);
      expect(job.unavailable).toEqual([]);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(limitFiles(machine, job)).toMatchObject(Object.fromEntries(APPLIED_FILES[machine.version]));
      expect(outcomes.map(({ limit }) => limit)).toEqual([
        "cpu.max",
        "cpu.weight",
        "memory.high",
        "memory.max",
        "pids.max",
        "cpuset.cpus",
      ]);
      for (const outcome of outcomes) {
        // v1 has no limit that slows a workload, and the outcome says so.
        const isSoft = machine.version === 1 && outcome.limit === "memory.high";
        expect(outcome).toMatchObject({
          outcome: isSoft ? "partial" : "applied",
          actual: expect.any(String),
        });
      }
    });

    itWithDisk("has io limits of a disk, and none of a disk that does not exist", (machine, disk) => {
      const limits: Limits = { ioMax: [{ device: disk, rbps: MIB, wiops: 100 }] };
      const job = makeJob(machine, limits);
      expect(applyCgroupLimits(job, limits)).toEqual([
        {
          limit: "io.max",
          outcome: "applied",
          wanted: `${disk} rbps=1048576 wiops=100`,
          actual: `${disk} rbps=1048576 wiops=100`,
        },
      ]);
      const files = limitFiles(machine, job);
      expect(files).toMatchObject(
        machine.version === 2
          ? { "io.max": `${disk} rbps=1048576 wbps=max riops=max wiops=100` }
          : { [V1_IO_FILES[0] as string]: `${disk} 1048576`, [V1_IO_FILES[3] as string]: `${disk} 100` },
      );

      const lifted: Limits = { ioMax: [{ device: disk, rbps: "max", wiops: "max" }] };
      expect(outcomeOf(applyCgroupLimits(job, lifted), "io.max").outcome).toBe("applied");
      for (const file of machine.version === 2 ? ["io.max"] : V1_IO_FILES)
        expect(limitFiles(machine, job)[file]).toBe("");

      const missing = outcomeOf(
        applyCgroupLimits(job, { ioMax: [{ device: "999:7", rbps: MIB }] }),
        "io.max",
      );
      expect(missing).toMatchObject({ outcome: "refused", wanted: "999:7 rbps=1048576" });
      expect(missing.because).toMatch(
        /^there is no block device 999:7; this machine .*; ENODEV .* writing "999:7 .*1048576" to \/.*ffrtmp-test-job\//,
      );
    });

    itWithDisk("never asks the kernel for more operations than it can count", (machine, disk) => {
      const limits: Limits = { ioMax: [{ device: disk, riops: 2 ** 32 }] };
      const job = makeJob(machine, limits);
      // A number that the kernel would truncate becomes no limit, and never a limit of 0.
      expect(outcomeOf(applyCgroupLimits(job, limits), "io.max")).toMatchObject({
        outcome: "partial",
        actual: `${disk} riops=max`,
      });
    });

    it("reports a write that the kernel refuses, with data and path, and continues with the next limit", (machine) => {
      const limits: Limits = { cpuMax: { quotaUsec: 500, periodUsec: 100_000 }, cpuWeight: 50, cpus: "0-" };
      const job = makeJob(machine, limits);
      const outcomes = applyCgroupLimits(job, limits);
      const cpuMax = outcomeOf(outcomes, "cpu.max");
      expect(cpuMax).toMatchObject({ outcome: "refused", wanted: "500 100000" });
      expect(cpuMax.because).toMatch(/^EINVAL .* writing "500.*" to \/.*ffrtmp-test-job\/cpu\./);
      expect(outcomeOf(outcomes, "cpu.weight").outcome).toBe("applied");
      expect(outcomeOf(outcomes, "cpuset.cpus")).toMatchObject({ outcome: "refused", wanted: "0-" });
    });

    it("is unchanged when the kernel accepts only half of a quota", (machine) => {
      const job = makeJob(machine, LIMITS);
      const before = limitFiles(machine, job);
      const outcomes = applyCgroupLimits(job, { cpuMax: { quotaUsec: 20_000, periodUsec: 500 } });
      expect(outcomes).toMatchObject([{ outcome: "refused", wanted: "20000 500" }]);
      expect(limitFiles(machine, job)).toEqual(before);
    });

    it("has memory limits in whole pages, which count as applied", (machine) => {
      const limits: Limits = { memoryMaxBytes: 64 * MIB + 1 };
      const outcomes = applyCgroupLimits(makeJob(machine, limits), limits);
      expect(outcomeOf(outcomes, "memory.max")).toMatchObject({
        outcome: "applied",
        actual: String(64 * MIB),
      });
    });

    for (const where of ["base", "origin"] as const) {
      it(`gets no looser limit than its ${where === "base" ? "ancestor's" : "parent's"}, which the outcome reports`, (machine) => {
        narrowCpus(machine, where);
        limitFromOutside(machine, machine[where], {
          cpuMax: { quotaUsec: 40_000, periodUsec: 100_000 },
          memoryMaxBytes: 100 * MIB,
          pidsMax: 50,
        });
        const limits: Limits = {
          cpuMax: { quotaUsec: 100_000, periodUsec: 200_000 },
          memoryMaxBytes: 200 * MIB,
          pidsMax: 500,
          cpus: "0-1",
        };
        const job = makeJob(machine, limits);
        const before = limitFiles(machine, job);
        const outcomes = applyCgroupLimits(job, limits);
        expect(limitFiles(machine, job)).toEqual(before);
        const holds: [CgroupLimitName, string][] = [
          ["cpu.max", "0.4 cores"],
          ["memory.max", String(100 * MIB)],
          ["pids.max", "50"],
          ["cpuset.cpus", "0"],
        ];
        for (const [limit, actual] of holds) {
          const outcome = outcomeOf(outcomes, limit);
          expect(outcome).toMatchObject({ outcome: "applied", actual });
          expect(outcome.because).toMatch(
            new RegExp(`^not written: /.*/ffrtmp-test-.* already limits it to ${actual}$`),
          );
        }
      });
    }

    it("gets a tighter limit than its ancestors'", (machine) => {
      limitFromOutside(machine, machine.base, {
        cpuMax: { quotaUsec: 90_000, periodUsec: 100_000 },
        memoryHighBytes: 256 * MIB,
        memoryMaxBytes: 256 * MIB,
        pidsMax: 500,
      });
      const job = makeJob(machine, LIMITS);
      applyCgroupLimits(job, LIMITS);
      expect(limitFiles(machine, job)).toMatchObject(Object.fromEntries(APPLIED_FILES[machine.version]));
    });

    it("never has a looser quota while one quota replaces another", (machine) => {
      const job = makeJob(machine, LIMITS);
      const ratios: number[] = [];
      const watched: JobCgroup = {
        ...job,
        fs: {
          ...machine.fs,
          write(path, data) {
            machine.fs.write(path, data);
            ratios.push(quotaOf(machine, job));
          },
        },
      };
      for (const [quotaUsec, periodUsec] of [
        [50_000, 100_000],
        [25_000, 50_000],
        [100_000, 250_000],
        [20_000, 50_000],
        [10_000, 1_000_000],
      ] as const) {
        const before = quotaOf(machine, job);
        ratios.length = 0;
        const outcomes = applyCgroupLimits(watched, { cpuMax: { quotaUsec, periodUsec } });
        expect(outcomeOf(outcomes, "cpu.max")).toMatchObject({
          outcome: "applied",
          actual: `${quotaUsec} ${periodUsec}`,
        });
        for (const ratio of ratios)
          expect(ratio).toBeLessThanOrEqual(Math.max(before, quotaUsec / periodUsec));
      }
    });

    it("reports usage in numbers from the start", (machine) => {
      const usage = readUsage(makeJob(machine, LIMITS));
      expect(Object.keys(usage).sort()).toEqual([
        "cpuPressureUsec",
        "cpuSystemUsec",
        "cpuUserUsec",
        "ioPressureUsec",
        "ioReadBytes",
        "ioWriteBytes",
        "memoryMaxHits",
        "memoryPeakBytes",
        "memoryPressureUsec",
        "oomKills",
        "throttledUsec",
      ]);
      for (const value of countedBy(machine, usage)) {
        expect(Number.isSafeInteger(value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(0);
      }
    });

    it("reads each present counter as a number from the start, and no pressure and no rereading from cgroup v1", (machine) => {
      const job = makeJob(machine, LIMITS);
      const all = { ...counterReader(job)(), ...detailReader(job)() };
      for (const [name, value] of Object.entries(all)) {
        const isCounted = machine.version === 2 || !/Pressure|^reread/.test(name);
        expect({ name, isCounted: Number.isSafeInteger(value) && Number(value) >= 0 }).toEqual({
          name,
          isCounted,
        });
      }
    });

    it("lists its members, also those in cgroups that the workload has made, and no other process", (machine) => {
      const job = makeJob(machine, {});
      machine.start();
      expect(listMembers(job)).toEqual([]);
      const inside = job.directories.map(({ path }) => path);
      const below = job.directories.map(({ hierarchy, path }) => {
        makeUsable(machine.fs, hierarchy, `${path}/own`);
        return `${path}/own`;
      });
      const members = [machine.start(...inside), machine.start(...below), machine.start(...inside)];
      expect(listMembers(job)).toEqual(members.sort((a, b) => a - b));
    });

    it("can be entered and left by the calling thread, which returns to its own cgroup", (machine) => {
      const own = machine.ownMembership();
      const job = planJobCgroup(machine.fs, machine.hierarchies, own, {
        name: `${JOB_NAME}-${process.pid}`,
        limits: LIMITS,
      });
      if (machine.version === 1) createJobCgroup(job);
      try {
        expect(joinThread(job)).toEqual([]);
        const inside = machine.ownMembership();
        for (const { key, version } of machine.hierarchies) {
          const suffix = version === 1 ? `/${JOB_NAME}-${process.pid}` : "";
          expect(inside.get(key)).toBe(`${own.get(key)}${suffix}`.replace("//", "/"));
        }
      } finally {
        expect(leaveThread(job)).toEqual([]);
        expect(machine.ownMembership()).toEqual(own);
        expect(removeJobCgroup(job)).toEqual([]);
      }
    });

    it("is removed without a trace when its processes have ended", async (machine) => {
      const before = listAll(machine);
      const job = makeJob(machine, LIMITS);
      applyCgroupLimits(job, LIMITS);
      const pid = machine.start(...job.directories.map(({ path }) => path));
      for (const { hierarchy, path } of job.directories) makeUsable(machine.fs, hierarchy, `${path}/own`);
      await machine.end(pid);
      expect(removeJobCgroup(job)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
      expect(removeJobCgroup(job)).toEqual([]);
    });

    it("stays unchanged while it has a process", (machine) => {
      const job = makeJob(machine, LIMITS);
      applyCgroupLimits(job, LIMITS);
      const paths = job.directories.map(({ path }) => path);
      for (const { hierarchy, path } of job.directories) makeUsable(machine.fs, hierarchy, `${path}/own`);
      machine.start(...paths);
      const before = [listAll(machine), limitFiles(machine, job)];
      expect(removeJobCgroup(job)).toEqual(paths);
      expect([listAll(machine), limitFiles(machine, job)]).toEqual(before);
    });

    it("is found again by another ffrtmp from the ledger", async (machine) => {
      const before = listAll(machine);
      const made = makeJob(machine, LIMITS);
      applyCgroupLimits(made, LIMITS);
      const pid = machine.start(...made.directories.map(({ path }) => path));
      const stored = JSON.parse(JSON.stringify(storeJobCgroup(made)));
      const found = findJobCgroup(machine.fs, machine.hierarchies, stored);
      expect(listMembers(found)).toEqual([pid]);
      expect(countedBy(machine, readUsage(found))).not.toContain(null);
      expect(applyCgroupLimits(found, { pidsMax: 32 })).toMatchObject([{ outcome: "applied", actual: "32" }]);
      await machine.end(pid);
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
      expect(findJobCgroup(machine.fs, machine.hierarchies, stored).directories).toEqual([]);
    });

    it("replaces the cgroup of an ffrtmp that was killed before its workload joined", (machine) => {
      const left = makeJob(machine, LIMITS);
      const untouched = limitFiles(machine, left);
      applyCgroupLimits(left, LIMITS);
      for (const { hierarchy, path } of left.directories) makeUsable(machine.fs, hierarchy, `${path}/own`);
      const job = makeJob(machine, LIMITS);
      expect(job.unavailable).toEqual([]);
      expect(limitFiles(machine, job)).toEqual(untouched);
      expect(job.directories.flatMap(({ path }) => machine.fs.children(path))).toEqual([]);
    });

    it("does not replace a cgroup that has processes, and changes nothing", (machine) => {
      const existing = makeJob(machine, LIMITS);
      applyCgroupLimits(existing, LIMITS);
      // Only the last hierarchy has a process. No cgroup of another hierarchy may be replaced before it is
      // checked.
      const last = existing.directories.at(-1)?.path as string;
      const pid = machine.start(last);
      const before = [listAll(machine), limitFiles(machine, existing)];
      const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
        name: JOB_NAME,
        limits: LIMITS,
      });
      let thrown: unknown;
      try {
        createJobCgroup(job);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(CgroupInUse);
      expect(thrown).toMatchObject({ path: last, pids: [pid] });
      expect([listAll(machine), limitFiles(machine, existing)]).toEqual(before);
    });

    it("is not created when a cgroup of its name has processes in a later hierarchy", (machine) => {
      const [hierarchy] = machine.hierarchies.slice(-1) as [Hierarchy];
      const taken = `${directoryIn(hierarchy, machine.origin)}/${JOB_NAME}`;
      makeUsable(machine.fs, hierarchy, taken);
      machine.start(taken);
      const before = listAll(machine);
      const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
        name: JOB_NAME,
        limits: LIMITS,
      });
      expect(() => createJobCgroup(job)).toThrow(CgroupInUse);
      expect(listAll(machine)).toEqual(before);
    });

    it("leaves out a hierarchy in which the process's cgroup is not visible, and reports it", (machine) => {
      const elsewhere = machine.hierarchies.map((hierarchy) => ({ ...hierarchy, mountRoot: "/docker/9f2c" }));
      const job = planJobCgroup(machine.fs, elsewhere, machine.origin, { name: JOB_NAME, limits: LIMITS });
      createJobCgroup(job);
      expect(job.directories).toEqual([]);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomes).toHaveLength(6);
      for (const { outcome, because } of outcomes) {
        expect(outcome).toBe("unsupported");
        expect(because).toMatch(/^its \S+ cgroup \/\S*origin is not visible below \/sys\/fs\/cgroup/);
      }
      expect(listMembers(job)).toEqual([]);
      expect(removeJobCgroup(job)).toEqual([]);
    });

    it("reports a controller that is not mounted, and applies the other limits", (machine) => {
      const few = machine.hierarchies
        .map((each) => ({ ...each, controllers: each.controllers.filter((name) => name.startsWith("cpu")) }))
        .filter(({ controllers }) => controllers.length > 0);
      const job = planJobCgroup(machine.fs, few, machine.origin, { name: JOB_NAME, limits: LIMITS });
      createJobCgroup(job);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomeOf(outcomes, "cpu.max").outcome).toBe("applied");
      expect(outcomeOf(outcomes, "memory.max")).toEqual({
        limit: "memory.max",
        outcome: "unsupported",
        wanted: "134217728",
        because: "no cgroup controller for it is mounted (memory)",
      });
      expect(outcomeOf(outcomes, "pids.max")).toMatchObject({ outcome: "unsupported" });
    });

    it("is not created below a cgroup that is gone, and reports it", (machine) => {
      const gone: Membership = new Map([...machine.origin].map(([key, path]) => [key, `${path}-gone`]));
      const job = planJobCgroup(machine.fs, machine.hierarchies, gone, { name: JOB_NAME, limits: LIMITS });
      createJobCgroup(job);
      expect(job.directories).toEqual([]);
      for (const { outcome, because } of applyCgroupLimits(job, LIMITS)) {
        expect(outcome).toBe("unsupported");
        expect(because).toMatch(/^ENOENT .* making \/.*\/origin-gone\/ffrtmp-test-job$/);
      }
    });

    for (const [access, errno] of [
      ["read-only", "EROFS"],
      ["denied", "EACCES"],
    ] as const) {
      if (!choice.isFake) continue;
      it(`is not created where the cgroup tree is ${access}, and reports it`, (machine) => {
        machine.restrict?.(access);
        const before = listAll(machine);
        const job = makeJob(machine, LIMITS);
        expect(job.directories).toEqual([]);
        for (const { outcome, because } of applyCgroupLimits(job, LIMITS)) {
          expect(outcome).toBe("unsupported");
          expect(because).toMatch(new RegExp(`^${errno} .* making /sys/fs/cgroup.*/origin/ffrtmp-test-job$`));
        }
        expect(listAll(machine)).toEqual(before);
        machine.restrict?.("full");
      });

      it(`keeps its limits when the tree becomes ${access}, and each refusal has data and path`, (machine) => {
        const job = makeJob(machine, LIMITS);
        machine.restrict?.(access);
        const before = limitFiles(machine, job);
        const outcomes = applyCgroupLimits(job, LIMITS);
        for (const { limit, outcome, because, actual } of outcomes) {
          expect({ limit, outcome, actual }).toEqual({ limit, outcome: "refused", actual: undefined });
          expect(because).toMatch(
            new RegExp(`^${errno} .* writing "[^"]+" to /sys/fs/cgroup.*/ffrtmp-test-job/`),
          );
        }
        expect(limitFiles(machine, job)).toEqual(before);
        expect(removeJobCgroup(job)).toEqual(job.directories.map(({ path }) => path));
        machine.restrict?.("full");
      });
    }
  });
}

/** Returns the values that a machine counts. cgroup v1 has no pressure. */
function countedBy({ version }: CgroupMachine, usage: Usage): (number | null)[] {
  const names = (Object.keys(usage) as (keyof Usage)[]).filter(
    (name) => version === 2 || !name.endsWith("PressureUsec"),
  );
  return names.map((name) => usage[name]);
}

/**
 * Restricts a cgroup to CPU 0, children first, because a v1 parent may not have fewer CPUs than its children.
 */
function narrowCpus(machine: CgroupMachine, where: "base" | "origin"): void {
  for (const hierarchy of machine.hierarchies.filter(({ controllers }) => controllers.includes("cpuset"))) {
    const places =
      machine.version === 1 && where === "base" ? (["home", "origin", "base"] as const) : [where];
    for (const place of places)
      machine.fs.write(`${directoryIn(hierarchy, machine[place])}/cpuset.cpus`, "0");
  }
}

/** Returns the number of cores that the job's own quota allows. */
function quotaOf(machine: CgroupMachine, job: JobCgroup): number {
  const files = limitFiles(machine, job);
  const [quota, period] =
    machine.version === 2
      ? (files["cpu.max"] ?? "").split(" ")
      : [files["cpu.cfs_quota_us"], files["cpu.cfs_period_us"]];
  return quota === "max" || quota === "-1" ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
}
