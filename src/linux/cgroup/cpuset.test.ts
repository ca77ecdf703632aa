import { expect } from "bun:test";
import { describeOn, limitFiles, makeJob } from "../../../test/support/cgroupJobs.ts";
import { directoryIn, FAKE_V2, REAL_V2 } from "../../../test/support/cgroupMachines.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { applyCgroupLimits, liftCgroupLimits } from "./jobLimits.ts";

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "cpuset.cpus", (it) => {
    it("is partial where the workload cannot use the CPUs, whatever the file contains", (machine) => {
      machine.fs.write(`${directoryIn(machine.hierarchies[0] as Hierarchy, machine.base)}/cpuset.cpus`, "0");
      const job = makeJob(machine, { cpus: "1" });
      expect(applyCgroupLimits(job, { cpus: "1" })).toEqual([
        {
          limit: "cpuset.cpus",
          outcome: "partial",
          wanted: "1",
          actual: "0",
          because: "the kernel has 0",
        },
      ]);
      expect(limitFiles(machine, job)["cpuset.cpus"]).toBe("1");
    });

    it("can be lifted from a job that has processes", (machine) => {
      const job = makeJob(machine, { cpus: "0" });
      const path = job.directories[0]?.path as string;
      const all = machine.fs.read(`${path}/cpuset.cpus.effective`);
      applyCgroupLimits(job, { cpus: "0" });
      machine.start(path);
      expect(liftCgroupLimits(job, ["cpuset.cpus"])).toEqual([]);
      expect(machine.fs.read(`${path}/cpuset.cpus.effective`)).toBe(all);
    });
  });
}
