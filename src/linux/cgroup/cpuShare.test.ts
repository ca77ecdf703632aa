import { expect } from "bun:test";
import { describeOn, limitFromOutside, makeJob } from "../../../test/support/cgroupJobs.ts";
import {
  type CgroupMachine,
  FAKE_V1,
  FAKE_V2,
  REAL_V1,
  REAL_V2,
} from "../../../test/support/cgroupMachines.ts";
import { removeJobCgroup } from "./cgroupChanges.ts";
import { listLimitDrift } from "./effectiveLimits.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { applyCgroupLimits, liftCgroupLimits } from "./jobLimits.ts";
import { recordOwnersValues, recordWritten } from "./ownerFiles.ts";
import { planJobCgroup } from "./planJobCgroup.ts";

/** The weight of a cgroup whose cpu.idle is 1: 0, and 1 from Linux 6.12. */
const IDLE_WEIGHT = expect.stringMatching(/^[01]$/);

for (const choice of [FAKE_V1, REAL_V1, FAKE_V2, REAL_V2]) {
  describeOn(choice, "cpu.idle", (it) => {
    it("is applied in place of a weight, and a weight in place of it", (machine) => {
      const job = makeJob(machine, { cpuWeight: 50 });
      applyCgroupLimits(job, { cpuWeight: 50 });
      expect(applyCgroupLimits(job, { cpuIdle: 1 })).toMatchObject([
        { limit: "cpu.idle", outcome: "applied", actual: "1" },
      ]);
      // The kernel would refuse the default weight now.
      expect(liftCgroupLimits(job, ["cpu.weight"])).toEqual([]);
      expect(listLimitDrift(job, { cpuWeight: 50 })).toMatchObject([{ limit: "cpu.weight", found: "0" }]);
      expect(applyCgroupLimits(job, { cpuWeight: 50 })).toMatchObject([
        { limit: "cpu.weight", outcome: "applied" },
      ]);
      expect(share(job)).toEqual(machine.version === 2 ? ["0", "50"] : ["0", "512"]);
      // cpu.idle is 0 already: the weight stays.
      expect(liftCgroupLimits(job, ["cpu.idle"])).toEqual([]);
      expect(share(job)[1]).toBe(machine.version === 2 ? "50" : "512");
    });

    it("leaves the default weight when it is lifted", (machine) => {
      const job = makeJob(machine, { cpuIdle: 1 });
      applyCgroupLimits(job, { cpuIdle: 1 });
      expect(listLimitDrift(job, { cpuIdle: 1 })).toEqual([]);
      liftCgroupLimits(job, ["cpu.idle"]);
      expect(share(job)).toEqual(machine.version === 2 ? ["0", "100"] : ["0", "1024"]);
      expect(listLimitDrift(job, { cpuIdle: 1 })).toMatchObject([{ limit: "cpu.idle", found: "max" }]);
    });
  });
}

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "cpu.idle in its owner's own cgroup", (it) => {
    it("is restored together with the owner's weight", (machine) => {
      limitFromOutside(machine, machine.origin, { cpuWeight: 50 });
      const job = governInPlace(machine);
      expect(share(job)).toEqual(["1", IDLE_WEIGHT]);
      expect(removeJobCgroup(job)).toEqual([]);
      expect(share(job)).toEqual(["0", "50"]);
    });

    it("is restored after an ffrtmp that died between the write and its record", (machine) => {
      limitFromOutside(machine, machine.origin, { cpuWeight: 50 });
      const job = governInPlace(machine, { isKilled: true });
      expect(removeJobCgroup(job)).toEqual([]);
      expect(share(job)).toEqual(["0", "50"]);
    });

    it("that the owner has set stays, and no weight takes its place", (machine) => {
      limitFromOutside(machine, machine.origin, { cpuIdle: 1 });
      const job = governInPlace(machine);
      expect(applyCgroupLimits(job, { cpuWeight: 1000 })).toMatchObject([
        { outcome: "applied", actual: "idle", because: expect.stringContaining("not written") },
      ]);
      removeJobCgroup(job);
      expect(share(job)).toEqual(["1", IDLE_WEIGHT]);
    });
  });
}

function governInPlace(machine: CgroupMachine, { isKilled = false } = {}): JobCgroup {
  const limits = { cpuIdle: 1 };
  const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
    name: "ffrtmp-test-job",
    limits,
    place: { placedAs: "in-place" },
  });
  recordOwnersValues(job, limits);
  applyCgroupLimits(job, limits);
  if (!isKilled) recordWritten(job);
  return job;
}

/** Reads cpu.idle and the weight. */
function share({ fs, directories }: JobCgroup): string[] {
  const cpu = directories.find(({ controllers }) => controllers.some(({ name }) => name === "cpu"));
  const weight = cpu?.hierarchy.version === 2 ? "cpu.weight" : "cpu.shares";
  return ["cpu.idle", weight].map((file) => fs.read(`${cpu?.path}/${file}`).trim());
}
