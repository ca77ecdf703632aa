import { expect, test } from "bun:test";
import { describeOn, JOB_NAME, listAll } from "../../../test/support/cgroupJobs.ts";
import { type CgroupMachine, FAKE_V1, fakeMachine, REAL_V1 } from "../../../test/support/cgroupMachines.ts";
import { fakeV1, fakeV2 } from "../../../test/support/fakeCgroups.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { createJobCgroup, removeJobCgroup } from "./cgroupChanges.ts";
import { findJobCgroup } from "./findJobCgroup.ts";
import { type JobCgroup, storeJobCgroup } from "./jobCgroup.ts";
import { applyCgroupLimits } from "./jobLimits.ts";
import { planJobCgroup } from "./planJobCgroup.ts";
import {
  freeWrapperSlot,
  joinThread,
  leaveThread,
  limitWrapperSlot,
  moveToWrapperSlot,
} from "./startingThread.ts";

const SLOTS = 3;

for (const choice of [FAKE_V1, REAL_V1]) {
  describeOn(choice, "a workload that is started", (it) => {
    it("has all its slots and no more at every instant, while the starting thread leaves", (machine) => {
      const { job, pids } = makeLaunched(machine);
      limitWrapperSlot(job, SLOTS + 1);
      applyCgroupLimits(job, { pidsMax: SLOTS + 1 });
      expect(joinThread(job)).toEqual([]);
      const workload = machine.start(...job.directories.map(({ path }) => path));
      const seen: number[] = [];
      const sample = (): void => void seen.push(slotsOf(machine.fs, pids, workload));
      const watched = { ...job, fs: samplingAfterWrites(machine.fs, sample) };
      sample();
      moveToWrapperSlot(watched);
      expect(applyCgroupLimits(watched, { pidsMax: SLOTS })).toMatchObject([{ outcome: "applied" }]);
      expect(leaveThread(watched)).toEqual([]);
      freeWrapperSlot(watched);
      expect(seen.length).toBeGreaterThan(4);
      expect(new Set(seen)).toEqual(new Set([SLOTS]));
    });

    it("has no limit left over that a later one would be compared with, and no directory", async (machine) => {
      const before = listAll(machine);
      const { job } = makeLaunched(machine);
      limitWrapperSlot(job, SLOTS + 1);
      freeWrapperSlot(job);
      expect(applyCgroupLimits(job, { pidsMax: 100 })).toMatchObject([{ outcome: "applied", actual: "100" }]);
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("is found by its record when only the wrapper slot was created", (machine) => {
      const before = listAll(machine);
      const { job, pids } = makeLaunched(machine);
      machine.fs.rmdir(pids.path);
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });
  });
}

test("there is no wrapper slot in a hierarchy with other controllers, on cgroup v2, or without a limit", async () => {
  for (const [fake, limits] of [
    [fakeV1({ together: ["memory,pids"] }), { pidsMax: SLOTS }],
    [fakeV2(), { pidsMax: SLOTS }],
    [fakeV1(), {}],
  ] as const) {
    await using machine = fakeMachine(fake);
    const request = { name: JOB_NAME, limits, hasWrapperSlot: true };
    const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, request);
    expect(job.directories.filter(({ wrapperSlot }) => wrapperSlot !== undefined)).toEqual([]);
  }
});

interface PidsGroups {
  path: string;
  group: string;
}

function makeLaunched(machine: CgroupMachine): { job: JobCgroup; pids: PidsGroups } {
  const limits = { pidsMax: SLOTS };
  // The thread returns to its own cgroup.
  const origin = machine.ownMembership();
  const request = { name: JOB_NAME, limits, hasWrapperSlot: true };
  const job = planJobCgroup(machine.fs, machine.hierarchies, machine.origin, request);
  const own = planJobCgroup(machine.fs, machine.hierarchies, origin, request);
  job.directories = job.directories.map((directory) => {
    const back = own.directories.find(({ hierarchy }) => hierarchy.key === directory.hierarchy.key)?.origin;
    return { ...directory, origin: back ?? directory.origin };
  });
  createJobCgroup(job);
  const { path, wrapperSlot: group } = job.directories.find(({ wrapperSlot }) => wrapperSlot) ?? {};
  if (path === undefined || group === undefined) throw new Error("no group is planned");
  return { job, pids: { path, group } };
}

/** The number of processes that the workload may have: the tightest of its cgroups, without the slots of others. */
function slotsOf(fs: CgroupFs, { path, group }: PidsGroups, workload: number): number {
  const tasks = (directory: string): number[] =>
    fs.read(`${directory}/tasks`).split("\n").filter(Boolean).map(Number);
  const max = (directory: string): number => {
    const text = fs.read(`${directory}/pids.max`).trim();
    return text === "max" ? Number.POSITIVE_INFINITY : Number(text);
  };
  const inside = tasks(path).filter((tid) => tid !== workload).length;
  return Math.min(max(path) - inside, max(group) - inside - tasks(group).length);
}

function samplingAfterWrites(fs: CgroupFs, sample: () => void): CgroupFs {
  return {
    ...fs,
    write(path, data) {
      fs.write(path, data);
      sample();
    },
  };
}
