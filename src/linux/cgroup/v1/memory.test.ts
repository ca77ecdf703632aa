import { expect, test } from "bun:test";
import { describeOn, limitFromOutside, makeJob } from "../../../../test/support/cgroupJobs.ts";
import { directoryIn, FAKE_V1, fakeMachine, REAL_V1 } from "../../../../test/support/cgroupMachines.ts";
import { fakeV1 } from "../../../../test/support/fakeCgroups.ts";
import type { Hierarchy } from "../hierarchies.ts";
import { applyCgroupLimits } from "../jobLimits.ts";
import { readUsage } from "../jobUsage.ts";

const MIB = 1024 * 1024;

test("a process stays in a cgroup whose memory limit a child would escape (before kernel 5.11)", async () => {
  await using machine = fakeMachine(fakeV1({ flatMemory: true }));
  limitFromOutside(machine, machine.origin, { memoryMaxBytes: 100 * MIB });
  const job = makeJob(machine, { memoryMaxBytes: 50 * MIB });
  const memory = machine.hierarchies.find(({ key }) => key === "memory") as Hierarchy;
  const origin = directoryIn(memory, machine.origin);
  expect(machine.fs.children(origin)).toEqual([]);
  expect(applyCgroupLimits(job, { memoryMaxBytes: 50 * MIB })).toEqual([
    {
      limit: "memory.max",
      outcome: "unsupported",
      wanted: String(50 * MIB),
      because: `${origin} limits memory without memory.use_hierarchy: a child would escape its limit`,
    },
  ]);
});

test("a process may leave a cgroup without a memory limit for a child (before kernel 5.11)", async () => {
  await using machine = fakeMachine(fakeV1({ flatMemory: true }));
  const limits = { memoryMaxBytes: 50 * MIB };
  expect(applyCgroupLimits(makeJob(machine, limits), limits)).toMatchObject([{ outcome: "applied" }]);
});

test("a limit further up that does not apply to children does not count as in force (before kernel 5.11)", async () => {
  await using machine = fakeMachine(fakeV1({ flatMemory: true }));
  limitFromOutside(machine, machine.base, { memoryMaxBytes: 100 * MIB });
  const limits = { memoryMaxBytes: 200 * MIB };
  expect(applyCgroupLimits(makeJob(machine, limits), limits)).toEqual([
    { limit: "memory.max", outcome: "applied", wanted: String(200 * MIB), actual: String(200 * MIB) },
  ]);
});

for (const choice of [FAKE_V1, REAL_V1]) {
  describeOn(choice, "a soft memory limit", (it) => {
    it("is partial, because cgroup v1 slows nothing until the whole machine is short of memory", (machine) => {
      const limits = { memoryHighBytes: 64 * MIB };
      expect(applyCgroupLimits(makeJob(machine, limits), limits)).toEqual([
        {
          limit: "memory.high",
          outcome: "partial",
          wanted: String(64 * MIB),
          actual: String(64 * MIB),
          because: "cgroup v1 reclaims above a soft limit only while the whole machine is short of memory",
        },
      ]);
    });
  });
}

test("a hard limit below the memory in use is refused, with the kernel's reason", async () => {
  const fake = fakeV1();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  const memory = job.directories.find(({ hierarchy }) => hierarchy.key === "memory")?.path;
  fake.set(`${memory}/memory.usage_in_bytes`, String(200 * MIB));
  expect(applyCgroupLimits(job, { memoryMaxBytes: 64 * MIB })).toEqual([
    {
      limit: "memory.max",
      outcome: "refused",
      wanted: String(64 * MIB),
      because: `EBUSY (in use) writing "${64 * MIB}" to ${memory}/memory.limit_in_bytes`,
    },
  ]);
});

test("peak, limit hits and kills are the kernel's own counts", async () => {
  const fake = fakeV1();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  const memory = job.directories.find(({ hierarchy }) => hierarchy.key === "memory")?.path;
  fake.set(`${memory}/memory.max_usage_in_bytes`, "67108864");
  fake.set(`${memory}/memory.failcnt`, "12");
  fake.set(`${memory}/memory.oom_control`, "oom_kill_disable 0\nunder_oom 0\noom_kill 2");
  expect(readUsage(job)).toMatchObject({ memoryPeakBytes: 67_108_864, memoryMaxHits: 12, oomKills: 2 });
  // Before 4.13 the kernel did not count its kills.
  fake.set(`${memory}/memory.oom_control`, "oom_kill_disable 0\nunder_oom 0");
  expect(readUsage(job).oomKills).toBeNull();
});
