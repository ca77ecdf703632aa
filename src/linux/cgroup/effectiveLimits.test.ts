import { expect } from "bun:test";
import { describeOn, LIMITS, limitFromOutside, makeJob } from "../../../test/support/cgroupJobs.ts";
import { MACHINES } from "../../../test/support/cgroupMachines.ts";
import type { Limits } from "../../limits/limits.ts";
import { listLimitDrift } from "./effectiveLimits.ts";
import { applyCgroupLimits } from "./jobLimits.ts";

const MIB = 1024 * 1024;

const LOOSER: Limits = {
  cpuMax: { quotaUsec: 60_000, periodUsec: 100_000 },
  cpuWeight: 500,
  memoryHighBytes: 65 * MIB,
  memoryMaxBytes: 129 * MIB,
  pidsMax: 65,
  cpus: "0-1",
};

for (const choice of MACHINES) {
  describeOn(choice, "the drift of a job's limits", (it, itWithDisk) => {
    it("is empty after they were applied", (machine) => {
      const job = makeJob(machine, LIMITS);
      applyCgroupLimits(job, LIMITS);
      expect(listLimitDrift(job, LIMITS)).toEqual([]);
      expect(listLimitDrift(job, LOOSER).map(({ limit }) => limit)).toEqual(["cpu.weight"]);
    });

    it("contains each limit that was loosened, separately", (machine) => {
      const job = makeJob(machine, LIMITS);
      applyCgroupLimits(job, LOOSER);
      expect(listLimitDrift(job, LIMITS)).toMatchObject([
        { limit: "cpu.max", wanted: "50000 100000", found: "60000 100000" },
        { limit: "cpu.weight", wanted: "50", found: "500" },
        { limit: "memory.high", wanted: String(64 * MIB), found: String(65 * MIB) },
        { limit: "memory.max", wanted: String(128 * MIB), found: String(129 * MIB) },
        { limit: "pids.max", wanted: "64", found: "65" },
        { limit: "cpuset.cpus", wanted: "0", found: "0-1" },
      ]);
    });

    it("contains a limit that was lifted, with max as its value", (machine) => {
      const job = makeJob(machine, LIMITS);
      const wanted: Limits = { cpuMax: LIMITS.cpuMax as NonNullable<Limits["cpuMax"]>, pidsMax: 64 };
      expect(listLimitDrift(job, wanted)).toEqual([
        { limit: "cpu.max", wanted: "50000 100000", found: "max", isControllerGone: false },
        { limit: "pids.max", wanted: "64", found: "max", isControllerGone: false },
      ]);
    });

    it("is empty where a cgroup above limits as much", (machine) => {
      const above: Limits = {
        cpuMax: { quotaUsec: 100_000, periodUsec: 200_000 },
        memoryMaxBytes: 128 * MIB,
        pidsMax: 64,
      };
      limitFromOutside(machine, machine.base, above);
      const job = makeJob(machine, LIMITS);
      expect(listLimitDrift(job, above)).toEqual([]);
      expect(listLimitDrift(job, { pidsMax: 63 })).toMatchObject([
        { limit: "pids.max", wanted: "63", found: "64" },
      ]);
    });

    itWithDisk("considers each rate of each disk", (machine, disk) => {
      const limits: Limits = { ioMax: [{ device: disk, rbps: MIB, wiops: 100 }] };
      const job = makeJob(machine, limits);
      applyCgroupLimits(job, limits);
      expect(listLimitDrift(job, limits)).toEqual([]);
      expect(listLimitDrift(job, { ioMax: [{ device: disk, rbps: 2 * MIB }] })).toEqual([]);
      for (const ioMax of [
        [{ device: disk, rbps: MIB - 1 }],
        [{ device: disk, wbps: MIB }],
        [{ device: "999:7", rbps: MIB }],
      ])
        expect(listLimitDrift(job, { ioMax })).toMatchObject([{ limit: "io.max" }]);
    });
  });
}
