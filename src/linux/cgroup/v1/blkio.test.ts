import { expect, test } from "bun:test";
import { describeOn, limitFiles, makeJob } from "../../../../test/support/cgroupJobs.ts";
import { directoryIn, FAKE_V1, fakeMachine, REAL_V1 } from "../../../../test/support/cgroupMachines.ts";
import { fakeV1 } from "../../../../test/support/fakeCgroups.ts";
import { createJobCgroup } from "../cgroupChanges.ts";
import type { Hierarchy } from "../hierarchies.ts";
import { applyCgroupLimits } from "../jobLimits.ts";
import { readUsage } from "../jobUsage.ts";
import { planJobCgroup } from "../planJobCgroup.ts";

const LIMITS = { ioMax: [{ device: "8:0", rbps: 1_048_576 }], memoryMaxBytes: 128 << 20 };

for (const choice of [FAKE_V1, REAL_V1]) {
  describeOn(choice, "blkio", (_it, itWithDisk) => {
    itWithDisk(
      "is not used where the process's own cgroup is throttled, because a child would escape that",
      (machine, disk) => {
        const origin = directoryIn(
          machine.hierarchies.find(({ controllers }) => controllers.includes("blkio")) as Hierarchy,
          machine.origin,
        );
        const file = `${origin}/blkio.throttle.write_iops_device`;
        machine.fs.write(file, `${disk} 50`);
        const limits = { ioMax: [{ device: disk, rbps: 1_048_576 }], pidsMax: 7 };
        const job = makeJob(machine, limits);
        expect(job.directories.map(({ path }) => path)).not.toContain(`${origin}/ffrtmp-test-job`);
        expect(applyCgroupLimits(job, limits)).toMatchObject([
          {
            limit: "io.max",
            outcome: "unsupported",
            because: `${file} throttles it, and on cgroup v1 a child would escape that`,
          },
          { limit: "pids.max", outcome: "applied" },
        ]);
        expect(machine.fs.children(origin)).toEqual([]);
        expect(machine.fs.read(file)).toBe(`${disk} 50\n`);
      },
    );

    itWithDisk(
      "is used where only a cgroup above is throttled, which does not reach the process on v1 anyway",
      (machine, disk) => {
        const base = directoryIn(
          machine.hierarchies.find(({ controllers }) => controllers.includes("blkio")) as Hierarchy,
          machine.base,
        );
        machine.fs.write(`${base}/blkio.throttle.write_iops_device`, `${disk} 50`);
        const limits = { ioMax: [{ device: disk, rbps: 1_048_576 }] };
        expect(applyCgroupLimits(makeJob(machine, limits), limits)).toMatchObject([{ outcome: "applied" }]);
      },
    );
  });
}

test("a controller that shares its hierarchy with a throttled blkio is not used either, and the outcome says why", async () => {
  await using machine = fakeMachine(fakeV1({ together: ["memory,blkio"] }));
  const [shared] = machine.hierarchies as [Hierarchy];
  machine.fs.write(`${directoryIn(shared, machine.origin)}/blkio.throttle.read_bps_device`, "8:0 1000");
  const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
    name: "ffrtmp-test-job",
    limits: LIMITS,
  });
  createJobCgroup(job);
  const outcomes = applyCgroupLimits(job, LIMITS);
  expect(outcomes.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
    "memory.max unsupported",
    "io.max unsupported",
  ]);
  for (const { because } of outcomes)
    expect(because).toContain("blkio.throttle.read_bps_device throttles it");
  expect(limitFiles(machine, job)["memory.limit_in_bytes"]).toBeUndefined();
});

test("bytes of all disks are summed, separately for reads and writes", async () => {
  const fake = fakeV1();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  const blkio = job.directories.find(({ hierarchy }) => hierarchy.key === "blkio");
  fake.set(
    `${blkio?.path}/blkio.throttle.io_service_bytes_recursive`,
    "8:16 Read 1000\n8:16 Write 20\n8:16 Sync 1020\n8:16 Total 1020\n8:0 Read 5\n8:0 Write 0\n8:0 Total 5\nTotal 1025\n",
  );
  expect(readUsage(job)).toMatchObject({ ioReadBytes: 1005, ioWriteBytes: 20 });
});
