import { expect } from "bun:test";
import { release } from "node:os";
import { describeOn, JOB_NAME, limitFromOutside, outcomeOf } from "../../../test/support/cgroupJobs.ts";
import {
  baseOf,
  type CgroupMachine,
  directoryIn,
  FAKE_V2,
  REAL_V2,
} from "../../../test/support/cgroupMachines.ts";
import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import { CGROUP_LIMITS } from "../../limits/table.ts";
import { createJobCgroup, removeJobCgroup } from "./cgroupChanges.ts";
import { listLimitDrift } from "./effectiveLimits.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { type JobCgroup, storeJobCgroup } from "./jobCgroup.ts";
import { applyCgroupLimits } from "./jobLimits.ts";
import { recordOwnersValues, recordWritten } from "./ownerFiles.ts";
import { planJobCgroup } from "./planJobCgroup.ts";

const MIB = 1024 * 1024;
const LIMITS: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  memoryMaxBytes: 128 * MIB,
  pidsMax: 64,
  cpus: "0",
};

/** Before 6.12, enabling cpuset would reset the CPU affinity of every process in the children, so it is refused. */
const RESETS_AFFINITY = Bun.semver.order(release().replace(/[^\d.].*$/, ""), "6.12.0") < 0;

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "a job in its owner's own cgroup", (it, itWithDisk) => {
    it("tightens the owner's limits, creates no cgroup, and restores every byte", (machine) => {
      machine.start(ownerOf(machine));
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-cpuset");
      const before = readAll(machine);
      const { job, outcomes } = governInPlace(machine, LIMITS);
      expect(outcomes.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
        "cpu.max applied",
        "memory.max applied",
        "pids.max applied",
        `cpuset.cpus ${RESETS_AFFINITY ? "unsupported" : "applied"}`,
      ]);
      expect(readAll(machine)).toMatchObject({
        "cpu.max": "50000 100000",
        "pids.max": "64",
        ...(RESETS_AFFINITY ? {} : { "cpuset.cpus": "0" }),
      });
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(readAll(machine)).toEqual(before);
      expect(machine.fs.children(ownerOf(machine))).toEqual([]);
    });

    it("sets no list of CPUs that it could not restore", (machine) => {
      const { outcomes } = governInPlace(machine, { cpus: "0" });
      expect(outcomes).toMatchObject([{ limit: "cpuset.cpus", outcome: "unsupported" }]);
      expect(outcomes[0]?.because).toContain("is empty, and the kernel empties it no more");
    });

    it("does not write a limit looser than the owner's own, and reports that", (machine) => {
      limitFromOutside(machine, machine.origin, {
        cpuMax: { quotaUsec: 20_000, periodUsec: 50_000 },
        memoryMaxBytes: 100 * MIB,
        pidsMax: 50,
        cpuWeight: 20,
      });
      const before = readAll(machine);
      const { outcomes } = governInPlace(machine, { ...LIMITS, cpuWeight: 200 });
      expect(readAll(machine)).toEqual(before);
      for (const [limit, actual] of [
        ["cpu.max", "0.4 cores"],
        ["cpu.weight", "20"],
        ["memory.max", String(100 * MIB)],
        ["pids.max", "50"],
      ] as const) {
        expect(outcomeOf(outcomes, limit)).toMatchObject({ outcome: "applied", actual });
        expect(outcomeOf(outcomes, limit).because).toBe(
          `not written: ${ownerOf(machine)} already limits it to ${actual}`,
        );
      }
    });

    it("gets the CPUs of a list that the owner has too, and is refused when there are none", (machine) => {
      machine.start(ownerOf(machine));
      limitFromOutside(machine, machine.origin, { cpus: "0" });
      const { job, outcomes } = governInPlace(machine, { cpus: "0-1" });
      expect(outcomes).toMatchObject([{ outcome: "applied", actual: "0" }]);
      expect(applyCgroupLimits(job, { cpus: "1" })).toMatchObject([{ outcome: "refused" }]);
      expect(readAll(machine)["cpuset.cpus"]).toBe("0");
    });

    it("accepts the owner's weight as applied while it is not higher", (machine) => {
      limitFromOutside(machine, machine.origin, { cpuWeight: 20 });
      const { job } = governInPlace(machine, { cpuWeight: 200 });
      expect(listLimitDrift(job, { cpuWeight: 200 })).toEqual([]);
      limitFromOutside(machine, machine.origin, { cpuWeight: 300 });
      expect(listLimitDrift(job, { cpuWeight: 200 })).toMatchObject([{ limit: "cpu.weight", found: "300" }]);
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-cpu");
      expect(listLimitDrift(job, { cpuWeight: 200 })).toEqual([]);
      expect(listLimitDrift(job, { cpuWeight: 50 })).toMatchObject([{ limit: "cpu.weight" }]);
    });

    it("compares a later limit with the owner's values, not with its own earlier ones", (machine) => {
      limitFromOutside(machine, machine.origin, { pidsMax: 50 });
      const { job } = governInPlace(machine, { pidsMax: 10 });
      expect(applyCgroupLimits(job, { pidsMax: 20 })).toMatchObject([{ outcome: "applied", actual: "20" }]);
      recordWritten(job);
      expect(applyCgroupLimits(job, { pidsMax: 60 })).toMatchObject([{ actual: "50" }]);
      expect(readAll(machine)["pids.max"]).toBe("20");
      removeJobCgroup(job);
      expect(readAll(machine)["pids.max"]).toBe("50");
    });

    it("keeps what the owner has changed since, and never loosens that either", (machine) => {
      const { job } = governInPlace(machine, { pidsMax: 100, memoryMaxBytes: 128 * MIB });
      machine.fs.write(`${ownerOf(machine)}/pids.max`, "30");
      expect(applyCgroupLimits(job, { pidsMax: 100 })).toMatchObject([{ outcome: "applied", actual: "30" }]);
      expect(removeJobCgroup(job)).toEqual([]);
      expect(readAll(machine)).toMatchObject({ "pids.max": "30", "memory.max": "max" });
    });

    itWithDisk(
      "restores the limits of each disk, and lifts those of a disk that had none",
      (machine, disk) => {
        for (const earlier of ["", `${disk} rbps=9000000`]) {
          if (earlier !== "") machine.fs.write(`${ownerOf(machine)}/io.max`, earlier);
          const before = readAll(machine);
          const { job, outcomes } = governInPlace(machine, {
            ioMax: [{ device: disk, rbps: MIB, wiops: 100 }],
          });
          expect(outcomes).toMatchObject([{ outcome: "applied", actual: `${disk} rbps=${MIB} wiops=100` }]);
          expect(removeJobCgroup(job)).toEqual([]);
          expect(readAll(machine)).toEqual(before);
        }
      },
    );

    it("gets controllers from above, which are disabled with it", (machine) => {
      const base = baseOf(machine);
      machine.fs.write(`${base}/cgroup.subtree_control`, "-cpu");
      const { job, outcomes } = governInPlace(machine, {
        cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
      });
      expect(outcomes).toMatchObject([{ limit: "cpu.max", outcome: "applied" }]);
      expect(removeJobCgroup(job)).toEqual([]);
      expect(machine.fs.read(`${base}/cgroup.subtree_control`)).not.toContain("cpu ");
      expect(machine.fs.exists(`${ownerOf(machine)}/cpu.max`)).toBe(false);
    });
  });
}

function governInPlace(machine: CgroupMachine, limits: Limits): { job: JobCgroup; outcomes: LimitOutcome[] } {
  const inPlace = { placedAs: "in-place" } as const;
  const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
    name: JOB_NAME,
    limits,
    place: inPlace,
  });
  createJobCgroup(job);
  recordOwnersValues(job, limits);
  const outcomes = applyCgroupLimits(job, limits);
  recordWritten(job);
  return { job, outcomes };
}

function ownerOf(machine: CgroupMachine): string {
  return directoryIn(machine.hierarchies[0] as Hierarchy, machine.origin);
}

function readAll(machine: CgroupMachine): Record<string, string> {
  const files = [...CGROUP_LIMITS, "cgroup.subtree_control", "cgroup.controllers", "cgroup.type"];
  return Object.fromEntries(
    files
      .filter((file) => machine.fs.exists(`${ownerOf(machine)}/${file}`))
      .map((file) => [file, machine.fs.read(`${ownerOf(machine)}/${file}`).trim()]),
  );
}
