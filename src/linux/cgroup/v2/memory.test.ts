import { expect, test } from "bun:test";
import { describeOn, makeJob } from "../../../../test/support/cgroupJobs.ts";
import { FAKE_V2, fakeMachine, REAL_V2, writeAsOperator } from "../../../../test/support/cgroupMachines.ts";
import { fakeV2 } from "../../../../test/support/fakeCgroups.ts";
import type { JobCgroup } from "../jobCgroup.ts";
import { detailReader } from "../jobCounters.ts";
import { applyCgroupLimits } from "../jobLimits.ts";
import { readUsage } from "../jobUsage.ts";

const LIMITS = { memoryMaxBytes: 64 << 20 };

function pathOf(job: JobCgroup): string {
  return job.directories[0]?.path as string;
}

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "a hard memory limit", (it) => {
    it("kills one process at a time, and its outcome adds nothing", (machine) => {
      const job = makeJob(machine, LIMITS);
      expect(machine.fs.read(`${pathOf(job)}/memory.oom.group`)).toBe("0\n");
      expect(applyCgroupLimits(job, LIMITS)).toEqual([
        { limit: "memory.max", outcome: "applied", wanted: "67108864", actual: "67108864" },
      ]);
    });

    it("reports and keeps the owner's choice to kill all processes at once", (machine) => {
      const job = makeJob(machine, LIMITS);
      writeAsOperator(machine, `${pathOf(job)}/memory.oom.group`, "1");
      expect(applyCgroupLimits(job, LIMITS)).toMatchObject([
        {
          outcome: "applied",
          because: "at it the kernel ends all processes of the cgroup at once (memory.oom.group is 1)",
        },
      ]);
      expect(machine.fs.read(`${pathOf(job)}/memory.oom.group`)).toBe("1\n");
    });
  });
}

test("a limit that the workload set below its own cgroup, and reached, is no hit of the job's limit", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, LIMITS);
  fake.set(`${pathOf(job)}/memory.events`, "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0");
  expect(readUsage(job)).toMatchObject({ oomKills: 1, memoryMaxHits: 0 });
});

test("what was read again is counted in bytes, also by kernels that count only files", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, LIMITS);
  const rereadAfter = (stat: string): number | null => {
    fake.set(`${pathOf(job)}/memory.stat`, stat);
    return detailReader(job)().rereadBytes;
  };
  expect(rereadAfter("workingset_refault_anon 7\nworkingset_refault_file 3")).toBe(3 * 4096);
  expect(rereadAfter("workingset_refault 2")).toBe(2 * 4096);
  expect(rereadAfter("anon 0")).toBeNull();
});

test("pressure is the time in which some thread waited, and unknown where the kernel does not report it", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  fake.set(
    `${pathOf(job)}/io.pressure`,
    "some avg10=0.12 avg60=0.02 avg300=0.00 total=83211\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=17",
  );
  const withoutMemory = {
    ...machine.fs,
    read(path: string): string {
      if (path.endsWith("/memory.pressure"))
        throw Object.assign(new Error("EOPNOTSUPP"), { code: "ENOTSUP" });
      return machine.fs.read(path);
    },
  };
  expect(readUsage({ ...job, fs: withoutMemory })).toMatchObject({
    cpuPressureUsec: 0,
    memoryPressureUsec: null,
    ioPressureUsec: 83_211,
  });
});
