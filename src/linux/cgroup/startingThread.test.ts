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

const PLACES = 3;

for (const choice of [FAKE_V1, REAL_V1]) {
  describeOn(choice, "a workload that is started", (it) => {
    it("has all its places and no more at every instant, whoever starts it", (machine) => {
      const { job, pids } = makeLaunched(machine);
      limitWrapperSlot(job, PLACES + 1);
      applyCgroupLimits(job, { pidsMax: PLACES + 1 });
      expect(joinThread(job)).toEqual([]);
      const workload = machine.start(...job.directories.map(({ path }) => path));
      const seen: number[] = [];
      const look = (): void => void seen.push(placesOf(machine.fs, pids, workload));
      const watched = { ...job, fs: lookingAfterWrites(machine.fs, look) };
      look();
      moveToWrapperSlot(watched);
      expect(applyCgroupLimits(watched, { pidsMax: PLACES })).toMatchObject([{ outcome: "applied" }]);
      expect(leaveThread(watched)).toEqual([]);
      freeWrapperSlot(watched);
      expect(seen.length).toBeGreaterThan(4);
      expect(new Set(seen)).toEqual(new Set([PLACES]));
    });

    it("leaves no limit behind that a later one would meet, and no directory", async (machine) => {
      const before = listAll(machine);
      const { job } = makeLaunched(machine);
      limitWrapperSlot(job, PLACES + 1);
      freeWrapperSlot(job);
      expect(applyCgroupLimits(job, { pidsMax: 100 })).toMatchObject([{ outcome: "applied", actual: "100" }]);
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });

    it("is found by what stands on record when only the outer group was made", (machine) => {
      const before = listAll(machine);
      const { job, pids } = makeLaunched(machine);
      machine.fs.rmdir(pids.path);
      const found = findJobCgroup(machine.fs, machine.hierarchies, storeJobCgroup(job));
      expect(removeJobCgroup(found)).toEqual([]);
      expect(listAll(machine)).toEqual(before);
    });
  });
}

test("no group is put around a hierarchy that counts more than processes, nor on cgroup v2, nor without a limit", async () => {
  for (const [fake, limits] of [
    [fakeV1({ together: ["memory,pids"] }), { pidsMax: PLACES }],
    [fakeV2(), { pidsMax: PLACES }],
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
  const limits = { pidsMax: PLACES };
  // The thread goes back to where it is.
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

/** How many processes the workload may have: the tightest of what its groups hold, without the places of others. */
function placesOf(fs: CgroupFs, { path, group }: PidsGroups, workload: number): number {
  const tasks = (directory: string): number[] =>
    fs.read(`${directory}/tasks`).split("\n").filter(Boolean).map(Number);
  const max = (directory: string): number => {
    const text = fs.read(`${directory}/pids.max`).trim();
    return text === "max" ? Number.POSITIVE_INFINITY : Number(text);
  };
  const inside = tasks(path).filter((tid) => tid !== workload).length;
  return Math.min(max(path) - inside, max(group) - inside - tasks(group).length);
}

function lookingAfterWrites(fs: CgroupFs, look: () => void): CgroupFs {
  return {
    ...fs,
    write(path, data) {
      fs.write(path, data);
      look();
    },
  };
}
