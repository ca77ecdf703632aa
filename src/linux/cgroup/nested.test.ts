import { expect, test } from "bun:test";
import {
  describeOn,
  JOB_NAME,
  limitFiles,
  limitFromOutside,
  listAll,
  makeJob,
  outcomeOf,
} from "../../../test/support/cgroupJobs.ts";
import {
  baseOf,
  directoryIn,
  FAKE_V2,
  fakeMachine,
  originOf,
  REAL_V2,
} from "../../../test/support/cgroupMachines.ts";
import { fakeV2 } from "../../../test/support/fakeCgroups.ts";
import type { Limits } from "../../limits/limits.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { createJobCgroup, removeJobCgroup } from "./cgroupChanges.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import { cgroupPathOf, type Hierarchy } from "./hierarchies.ts";
import { type JobCgroup, listMembers, storeJobCgroup } from "./jobCgroup.ts";
import { applyCgroupLimits } from "./jobLimits.ts";
import { readUsage } from "./jobUsage.ts";
import { planJobCgroup } from "./planJobCgroup.ts";

const LIMITS: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  memoryMaxBytes: 128 << 20,
  pidsMax: 64,
  cpus: "0",
};

function pathOf(job: JobCgroup): string {
  return job.directories[0]?.path as string;
}

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "a job among its owner's processes", (it) => {
    it("gets the limits that threads can share, and reports those that are not possible there", (machine) => {
      const origin = originOf(machine);
      machine.start(origin);
      const job = makeJob(machine, LIMITS);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomes.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
        "cpu.max applied",
        "memory.max unsupported",
        "pids.max applied",
        "cpuset.cpus applied",
      ]);
      expect(outcomeOf(outcomes, "memory.max").because).toBe(
        `${origin} has processes, and among them cgroup v2 can limit cpu, cpuset and pids only`,
      );
      expect(limitFiles(machine, job)).toEqual({
        "cpu.max": "50000 100000",
        "cpu.weight": "100",
        "pids.max": "64",
        "cpuset.cpus": "0",
      });
    });

    it("takes a process in, lists it as its member, and lets it return", (machine) => {
      const origin = originOf(machine);
      const owner = machine.start(origin);
      const pid = machine.start(origin);
      const before = listAll(machine);
      const job = makeJob(machine, LIMITS);
      machine.fs.write(`${pathOf(job)}/cgroup.procs`, String(pid));
      expect(listMembers(job)).toEqual([pid]);
      expect(removeJobCgroup(job)).toEqual([pathOf(job)]);
      expect(machine.fs.read(`${origin}/cgroup.threads`)).toBe(`${owner}\n`);

      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      const created = found.changes.filter(({ kind }) => kind === "cgroup-created");
      expect(created).toMatchObject([{ path: pathOf(job), threaded: true }]);
      expect(machine.fs.read(`${pathOf(job)}/cgroup.type`)).toBe("threaded\n");
      expect(listMembers(found)).toEqual([pid]);
      expect(readUsage(found)).toMatchObject({
        cpuUserUsec: expect.any(Number),
        throttledUsec: expect.any(Number),
        memoryPeakBytes: null,
      });

      machine.fs.write(`${origin}/cgroup.procs`, String(pid));
      expect(listMembers(job)).toEqual([]);
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
      expect(machine.fs.read(`${origin}/cgroup.type`)).toBe("domain\n");
    });

    it("replaces the cgroup of an ffrtmp that was killed, but not one that has a process", (machine) => {
      machine.start(originOf(machine));
      const left = makeJob(machine, LIMITS);
      applyCgroupLimits(left, LIMITS);
      const job = makeJob(machine, LIMITS);
      expect(job.directories).toHaveLength(1);
      expect(limitFiles(machine, job)).toMatchObject({ "cpu.max": "max 100000", "pids.max": "max" });
      const pid = machine.start(pathOf(job));
      expect(() => makeJob(machine, LIMITS)).toThrow(`${pathOf(job)} contains processes already: ${pid}`);
    });

    it("is possible in a cgroup with a threaded cgroup of the owner", (machine) => {
      const origin = originOf(machine);
      const before = listAll(machine);
      machine.fs.mkdir(`${origin}/workers`);
      machine.fs.write(`${origin}/workers/cgroup.type`, "threaded");
      machine.fs.write(`${origin}/cgroup.subtree_control`, "+cpu +pids +cpuset");
      const workers = new Map([["", `${machine.origin.get("")}/workers`]]);
      const job = makeJob(machine, LIMITS, undefined, workers);
      expect(applyCgroupLimits(job, LIMITS).map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
        "cpu.max applied",
        "memory.max unsupported",
        "pids.max applied",
        "cpuset.cpus applied",
      ]);
      const pid = machine.start(pathOf(job));
      expect(listMembers(job)).toEqual([pid]);
      machine.fs.write(`${origin}/cgroup.procs`, String(pid));
      expect(removeJobCgroup(job)).toEqual([]);
      machine.fs.rmdir(`${origin}/workers`);
      machine.fs.write(`${origin}/cgroup.subtree_control`, "-cpu -pids -cpuset");
      expect(listAll(machine)).toEqual(before);
    });

    it("keeps the owner's limits in force", (machine) => {
      machine.start(originOf(machine));
      limitFromOutside(machine, machine.origin, { pidsMax: 10 });
      const job = makeJob(machine, { pidsMax: 64 });
      expect(applyCgroupLimits(job, { pidsMax: 64 })).toMatchObject([
        {
          outcome: "applied",
          actual: "10",
          because: `not written: ${originOf(machine)} already limits it to 10`,
        },
      ]);
    });

    it("enables only the controllers that its limits need, and cpu for a weight in place of a nice value", (machine) => {
      machine.start(originOf(machine));
      const enabledFor = (limits: Limits, nice: number): string[] => {
        const request = { name: "ffrtmp-test-job", limits, nice };
        const { changes } = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, request);
        return changes.flatMap((change) => (change.kind === "controller-enabled" ? change.controller : []));
      };
      expect(enabledFor({}, 0)).toEqual([]);
      expect(enabledFor({}, 10)).toEqual(["cpu"]);
      expect(enabledFor({ nice: 10 }, 0)).toEqual(["cpu"]);
      expect(enabledFor({ pidsMax: 10 }, 0)).toEqual(["pids"]);
      expect(enabledFor({ pidsMax: 10 }, 10)).toEqual(["cpu", "pids"]);
    });

    it("is possible beside another job, and the end of one changes nothing for the other", async (machine) => {
      const origin = originOf(machine);
      machine.start(origin);
      const first = makeJob(machine, LIMITS, "ffrtmp-test-first");
      const second = makeJob(machine, LIMITS, "ffrtmp-test-second");
      applyCgroupLimits(second, LIMITS);
      const pid = machine.start(pathOf(second));
      expect(removeJobCgroup(first)).toEqual([]);
      expect(limitFiles(machine, second)).toMatchObject({ "cpu.max": "50000 100000", "pids.max": "64" });
      expect(listMembers(second)).toEqual([pid]);
    });

    it("is not created where the owner has cgroups with processes below, and leaves nothing behind", (machine) => {
      const origin = originOf(machine);
      machine.start(origin);
      machine.fs.mkdir(`${origin}/own`);
      machine.start(`${origin}/own`);
      const before = listAll(machine);
      const job = makeJob(machine, LIMITS);
      expect(job.directories).toEqual([]);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(4).fill("unsupported"));
      for (const { because } of outcomes.filter(({ limit }) => limit !== "memory.max"))
        expect(because).toMatch(/^EOPNOTSUPP .* making \/.*\/ffrtmp-test-job$/);
      expect(listAll(machine)).toEqual(before);
    });

    it("is not created when the owner gets processes meanwhile, and leaves nothing behind", (machine) => {
      const origin = originOf(machine);
      const before = listAll(machine);
      const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, {
        name: "ffrtmp-test-job",
        limits: LIMITS,
      });
      machine.start(origin);
      createJobCgroup(job);
      expect(job.directories).toEqual([]);
      expect(listAll(machine)).toEqual(before);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(4).fill("unsupported"));
      expect(outcomeOf(outcomes, "memory.max").because).toMatch(
        /^(EBUSY|EOPNOTSUPP) .* writing "\+memory" to \//,
      );
      expect(outcomeOf(outcomes, "cpu.max").because).toBe(
        `${origin} has got processes of its own, and a cgroup among them can hold no others`,
      );
    });
  });
}

for (const choice of [FAKE_V2, REAL_V2]) {
  describeOn(choice, "a job below a cgroup without all controllers", (it) => {
    it("gets those that its limits need, from the top down, and disables them at its end", (machine) => {
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -cpuset -io");
      const before = listAll(machine);
      const job = makeJob(machine, LIMITS);
      expect(applyCgroupLimits(job, LIMITS).map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
        "cpu.max applied",
        "memory.max applied",
        "pids.max applied",
        "cpuset.cpus applied",
      ]);
      // No limit of io was asked for: the levels above are not changed only to measure.
      expect(machine.fs.read(`${baseOf(machine)}/cgroup.subtree_control`)).not.toContain("io");
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("disables each controller once, however often its changes are undone", (machine) => {
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -cpuset -io");
      const { fs, writes } = recordWrites(machine.fs);
      const job = makeJob({ ...machine, fs }, { memoryMaxBytes: 1 << 20 });
      for (let n = 0; n < 2; n++) expect(removeJobCgroup(job)).toEqual([]);
      const controls = writes.filter(([path]) => path.endsWith("/cgroup.subtree_control"));
      const ofMemory = controls.flatMap(([, data]) => data.split(" ")).filter((word) => /memory$/.test(word));
      // In the cgroup above, and in the one that the job is in.
      expect(ofMemory).toEqual(["+memory", "+memory", "-memory", "-memory"]);
    });

    it("enables the controllers of a cgroup with one write, and disables them with one", (machine) => {
      const control = `${baseOf(machine)}/cgroup.subtree_control`;
      machine.fs.write(control, "-memory -pids");
      const { fs, writes } = recordWrites(machine.fs);
      const job = makeJob({ ...machine, fs }, { memoryMaxBytes: 1 << 20, pidsMax: 64 });
      expect(removeJobCgroup(job)).toEqual([]);
      const ofBase = writes.filter(([path]) => path === control).map(([, data]) => data);
      expect(ofBase).toEqual(["+memory +pids", "-pids -memory"]);
    });

    it("has the other controllers where the kernel refuses one of them", (machine) => {
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -pids -cpu");
      const { fs } = recordWrites(machine.fs, (data) => data.includes("+memory"));
      const limits = { memoryMaxBytes: 1 << 20, pidsMax: 64, cpuMax: LIMITS.cpuMax } as Limits;
      const job = makeJob({ ...machine, fs }, limits);
      const outcomes = applyCgroupLimits(job, limits).map(({ limit, outcome }) => `${limit} ${outcome}`);
      expect(outcomes).toEqual(["cpu.max applied", "memory.max unsupported", "pids.max applied"]);
      expect(removeJobCgroup(job)).toEqual([]);
      const control = machine.fs.read(`${baseOf(machine)}/cgroup.subtree_control`);
      expect(control).not.toMatch(/cpu\b|memory|pids/);
    });

    it("in its own scope changes nothing above, and leaves the scope to systemd at its end", (machine) => {
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -cpuset -io");
      const [hierarchy] = machine.hierarchies as [Hierarchy];
      const scope = `${baseOf(machine)}/${JOB_NAME}.scope`;
      machine.fs.mkdir(scope);
      const inScope = new Map([[hierarchy.key, cgroupPathOf(hierarchy, scope)]]);
      const { fs, writes } = recordWrites(machine.fs);
      const limits: Limits = { memoryMaxBytes: 1 << 20, pidsMax: 64 };
      const job = makeJob({ ...machine, fs }, limits, JOB_NAME, inScope);
      const outcomes = applyCgroupLimits(job, limits).map(({ limit, outcome }) => `${limit} ${outcome}`);
      expect(outcomes).toEqual(["memory.max unsupported", "pids.max applied"]);
      const stored = findJobCgroup(fs, machine.hierarchies, storeJobCgroup(job));
      for (let n = 0; n < 2; n++) expect(removeJobCgroup(stored)).toEqual([]);
      const controls = writes.filter(([path]) => path.endsWith("/cgroup.subtree_control"));
      expect(controls.length).toBeGreaterThan(0);
      expect(controls.filter(([path]) => path !== `${scope}/cgroup.subtree_control`)).toEqual([]);
      expect(controls.filter(([, data]) => data.includes("-"))).toEqual([]);
      machine.fs.rmdir(scope);
    });

    it("keeps a controller above it enabled that another cgroup uses now", (machine) => {
      machine.fs.write(`${baseOf(machine)}/cgroup.subtree_control`, "-memory -cpuset");
      const job = makeJob(machine, LIMITS);
      machine.fs.write(`${directoryIn(machine.hierarchies[0] as Hierarchy, machine.home)}/memory.high`, "1G");
      expect(removeJobCgroup(job)).toEqual([]);
      const gives = machine.fs.read(`${baseOf(machine)}/cgroup.subtree_control`);
      expect(gives).toContain("memory");
      expect(gives).not.toContain("cpuset");
    });

    it("gets the limits of the controllers that exist, and reports which cgroup does not give the others", (machine) => {
      const base = baseOf(machine);
      machine.fs.write(`${base}/cgroup.subtree_control`, "-memory -cpuset");
      const before = listAll(machine);
      const fs: CgroupFs = {
        ...machine.fs,
        write(path, data) {
          if (path === `${base}/cgroup.subtree_control`) throw Object.assign(new Error(), { code: "EACCES" });
          machine.fs.write(path, data);
        },
      };
      const job = makeJob({ ...machine, fs }, LIMITS);
      const outcomes = applyCgroupLimits(job, LIMITS);
      expect(outcomes.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
        "cpu.max applied",
        "memory.max unsupported",
        "pids.max applied",
        "cpuset.cpus unsupported",
      ]);
      expect(outcomeOf(outcomes, "memory.max").because).toBe(
        `EACCES (permission denied) writing "+memory" to ${base}/cgroup.subtree_control`,
      );
      expect(readUsage(job)).toMatchObject({ memoryPeakBytes: null, cpuUserUsec: expect.any(Number) });
      expect(removeJobCgroup(job)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });
  });
}

describeOn(REAL_V2, "a workload", (it) => {
  for (const where of ["of its own", "among its owner's processes"]) {
    it(`starts inside a cgroup ${where}`, async (machine) => {
      if (where !== "of its own") machine.start(originOf(machine));
      const job = makeJob(machine, LIMITS);
      const child = Bun.spawn(["cat", "/proc/self/cgroup"], { cgroup: pathOf(job), stdout: "pipe" });
      expect(await child.stdout.text()).toBe(`0::${machine.origin.get("")}/ffrtmp-test-job\n`);
      await child.exited;
    });
  }
});

test("a process with many threads is one member", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  machine.start(originOf(machine));
  const job = makeJob(machine, LIMITS);
  const pid = machine.start(pathOf(job));
  fake.addThread(pid, 90_001);
  fake.addThread(pid, 90_002);
  expect(machine.fs.read(`${pathOf(job)}/cgroup.threads`).split("\n")).toHaveLength(4);
  expect(listMembers(job)).toEqual([pid]);
});

test("a cgroup with only threads of other processes has no members, and is not removed", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const owner = machine.start(originOf(machine));
  fake.addThread(owner, 90_001);
  const job = makeJob(machine, LIMITS);
  machine.fs.write(`${pathOf(job)}/cgroup.threads`, "90001");
  machine.fs.mkdir(`${pathOf(job)}/own`);
  expect(listMembers(job)).toEqual([]);
  expect(removeJobCgroup(job)).toEqual([pathOf(job)]);
  expect(machine.fs.children(pathOf(job))).toEqual(["own"]);
});

test("members in threaded cgroups that the workload made are listed once", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, {});
  const pid = machine.start(pathOf(job));
  fake.addThread(pid, 90_001);
  machine.fs.mkdir(`${pathOf(job)}/workers`);
  machine.fs.write(`${pathOf(job)}/workers/cgroup.type`, "threaded");
  machine.fs.write(`${pathOf(job)}/workers/cgroup.threads`, "90001");
  expect(listMembers(job)).toEqual([pid]);
  expect(removeJobCgroup(job)).toEqual([pathOf(job)]);
});

test("a job at the root of all cgroups, which may have processes and all controllers, gets all limits", async () => {
  const fake = fakeV2();
  await using machine = fakeMachine(fake);
  const job = makeJob(machine, LIMITS, "ffrtmp-test-top", new Map([["", "/"]]));
  expect(applyCgroupLimits(job, LIMITS).map(({ outcome }) => outcome)).toEqual(Array(4).fill("applied"));
  expect(removeJobCgroup(job)).toEqual([]);
});

test("processes of a pid namespace that is not visible are no members, but keep the cgroup in use", async () => {
  await using machine = fakeMachine(fakeV2());
  const job = makeJob(machine, {});
  const fs = {
    ...machine.fs,
    // The kernel shows 0 for a process of another pid namespace.
    read: (path: string) => (path.endsWith("/cgroup.procs") ? "0\n" : machine.fs.read(path)),
    rmdir() {
      throw Object.assign(new Error("EBUSY"), { code: "EBUSY" });
    },
  };
  expect(listMembers({ ...job, fs })).toEqual([]);
  expect(removeJobCgroup({ ...job, fs })).toEqual([pathOf(job)]);
});

/** Records the writes that succeed; those that `refuses` selects fail with EBUSY. */
function recordWrites(
  real: CgroupFs,
  refuses: (data: string) => boolean = () => false,
): { fs: CgroupFs; writes: [path: string, data: string][] } {
  const writes: [path: string, data: string][] = [];
  const fs: CgroupFs = {
    ...real,
    write(path, data) {
      if (refuses(data)) throw Object.assign(new Error(`EBUSY: ${path}`), { code: "EBUSY", path });
      real.write(path, data);
      writes.push([path, data]);
    },
  };
  return { fs, writes };
}
