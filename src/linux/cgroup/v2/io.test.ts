import { expect, test } from "bun:test";
import { describeOn, limitFiles, makeJob } from "../../../../test/support/cgroupJobs.ts";
import { directoryIn, FAKE_V2, fakeMachine, REAL_V2 } from "../../../../test/support/cgroupMachines.ts";
import { fakeV2 } from "../../../../test/support/fakeCgroups.ts";
import type { Hierarchy } from "../hierarchies.ts";
import { applyCgroupLimits } from "../jobLimits.ts";
import { readUsage } from "../jobUsage.ts";

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "io.max", (_it, itWithDisk) => {
    itWithDisk(
      "is written only for the rates that no cgroup above limits more, and reports the others",
      (machine, disk) => {
        const [hierarchy] = machine.hierarchies as [Hierarchy];
        const base = directoryIn(hierarchy, machine.base);
        const origin = directoryIn(hierarchy, machine.origin);
        machine.fs.write(`${base}/io.max`, `${disk} rbps=1000000 wbps=2000000`);
        machine.fs.write(`${origin}/io.max`, `${disk} rbps=3000000`);
        const limits = { ioMax: [{ device: disk, rbps: 2_000_000, wbps: 1_000_000 }] };
        const job = makeJob(machine, limits);
        expect(applyCgroupLimits(job, limits)).toEqual([
          {
            limit: "io.max",
            outcome: "applied",
            wanted: `${disk} rbps=2000000 wbps=1000000`,
            actual: `${disk} rbps=1000000 wbps=1000000`,
            because: `not written: ${base} already limits ${disk} to rbps=1000000`,
          },
        ]);
        expect(limitFiles(machine, job)["io.max"]).toBe(`${disk} rbps=max wbps=1000000 riops=max wiops=max`);
      },
    );

    itWithDisk(
      "is not written when cgroups above limit every rate, not even a rate that is lifted",
      (machine, disk) => {
        const origin = directoryIn(machine.hierarchies[0] as Hierarchy, machine.origin);
        machine.fs.write(`${origin}/io.max`, `${disk} rbps=1000000 wiops=50`);
        const limits = { ioMax: [{ device: disk, rbps: "max" as const, wiops: 50 }] };
        const job = makeJob(machine, limits);
        expect(applyCgroupLimits(job, limits)).toEqual([
          {
            limit: "io.max",
            outcome: "applied",
            wanted: `${disk} rbps=max wiops=50`,
            actual: `${disk} rbps=1000000 wiops=50`,
            because: `not written: ${origin} already limits ${disk} to rbps=1000000; not written: ${origin} already limits ${disk} to wiops=50`,
          },
        ]);
        expect(limitFiles(machine, job)["io.max"]).toBe("");
      },
    );
  });
}

test("a limit above for one disk does not count for another", async () => {
  await using machine = fakeMachine(fakeV2());
  const origin = directoryIn(machine.hierarchies[0] as Hierarchy, machine.origin);
  machine.fs.write(`${origin}/io.max`, "8:0 rbps=1000000");
  const limits = {
    ioMax: [
      { device: "8:16", rbps: 2_000_000 },
      { device: "8:0", rbps: 500_000 },
    ],
  };
  expect(applyCgroupLimits(makeJob(machine, limits), limits)).toEqual([
    {
      limit: "io.max",
      outcome: "applied",
      wanted: "8:16 rbps=2000000, 8:0 rbps=500000",
      actual: "8:16 rbps=2000000, 8:0 rbps=500000",
    },
  ]);
});

test("bytes of all disks are summed, separately for reads and writes", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  fake.set(
    `${job.directories[0]?.path}/io.stat`,
    "8:16 rbytes=1000 wbytes=20 rios=1 wios=1 dbytes=7 dios=1\n8:0 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n",
  );
  expect(readUsage(job)).toMatchObject({ ioReadBytes: 1005, ioWriteBytes: 20 });
});
