import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describeOn, makeJob } from "../../../test/support/cgroupJobs.ts";
import {
  type CgroupMachine,
  directoryIn,
  makeUsable,
  REAL_V1,
  REAL_V2,
} from "../../../test/support/cgroupMachines.ts";
import { type FakeCgroups, fakeV1, fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { procTree, statLine } from "../../../test/support/procTree.ts";
import { type Host, realHost } from "../host.ts";
import { readStat } from "../proc/stat.ts";
import { listThreads } from "../proc/table.ts";
import type { Hierarchy } from "./hierarchies.ts";
import type { JobCgroup } from "./jobCgroup.ts";
import { directoryOfProcess, type MoveOutcome, moveProcess } from "./moveProcess.ts";

function startTicksOf(pid: number): number {
  const stat = readStat(realHost(), pid);
  if (stat === "gone") throw new Error(`${pid} was started a moment ago`);
  return stat.startTicks;
}

function originsOf(machine: CgroupMachine): string[] {
  return machine.hierarchies.map((hierarchy) => directoryIn(hierarchy, machine.origin));
}

function moveIn(job: JobCgroup, pid: number, startTicks = startTicksOf(pid)): MoveOutcome[] {
  return job.directories.map(({ hierarchy, origin, path }) =>
    moveProcess(realHost(), pid, startTicks, { hierarchy, from: origin, to: path }),
  );
}

function moveBack(job: JobCgroup, pid: number): MoveOutcome[] {
  return job.directories.map(({ hierarchy, origin, path }) =>
    moveProcess(realHost(), pid, startTicksOf(pid), { hierarchy, from: path, to: origin }),
  );
}

function cgroupsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8");
}

for (const choice of [REAL_V1, REAL_V2]) {
  describeOn(choice, "a running process", (it) => {
    it("is moved into a job's cgroup and back, and is then where it was, byte for byte", (machine) => {
      const pid = machine.start(...originsOf(machine));
      const before = cgroupsOf(pid);
      const job = makeJob(machine, { pidsMax: 64 });
      const all = <Outcome>(outcome: Outcome): Outcome[] => job.directories.map(() => outcome);
      expect(moveIn(job, pid)).toEqual(all("moved"));
      for (const { hierarchy, path } of job.directories) {
        expect(directoryOfProcess(realHost(), pid, hierarchy)).toBe(path);
      }
      expect(moveIn(job, pid)).toEqual(all("there"));
      expect(moveBack(job, pid)).toEqual(all("moved"));
      expect(cgroupsOf(pid)).toBe(before);
    });

    it("is not moved from where it was not looked for", (machine) => {
      const pid = machine.start();
      const before = cgroupsOf(pid);
      const job = makeJob(machine, { pidsMax: 64 });
      expect(moveIn(job, pid)).toEqual(
        job.directories.map(({ hierarchy }) => ({ foundIn: directoryIn(hierarchy, machine.home) })),
      );
      expect(cgroupsOf(pid)).toBe(before);
    });

    it("is not moved in the place of another that had its pid", (machine) => {
      const pid = machine.start(...originsOf(machine));
      const before = cgroupsOf(pid);
      const job = makeJob(machine, { pidsMax: 64 });
      expect(moveIn(job, pid, startTicksOf(pid) - 1)).toEqual(job.directories.map(() => "gone"));
      expect(cgroupsOf(pid)).toBe(before);
    });

    it("that has ended is gone", async (machine) => {
      const pid = machine.start(...originsOf(machine));
      const startTicks = startTicksOf(pid);
      const job = makeJob(machine, { pidsMax: 64 });
      await machine.end(pid);
      expect(moveIn(job, pid, startTicks)).toEqual(job.directories.map(() => "gone"));
    });

    it("that the kernel does not move is told with data and path", (machine) => {
      const pid = machine.start(...originsOf(machine));
      const [hierarchy] = machine.hierarchies as [Hierarchy];
      const from = directoryIn(hierarchy, machine.origin);
      const move = { hierarchy, from, to: `${from}/missing` };
      expect(moveProcess(realHost(), pid, startTicksOf(pid), move)).toEqual({
        reason: `ENOENT (no such file) writing "${pid}" to ${from}/missing/cgroup.procs`,
      });
    });
  });
}

/** A program that stays, and whose second thread prints its id. */
const TWO_THREADS = `
  const second = 'setInterval(() => {}, 1e6); postMessage(require("node:fs").readlinkSync("/proc/thread-self"))';
  const worker = new Worker(URL.createObjectURL(new Blob([second], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => console.log(data.split("/").at(-1));
`;

describeOn(REAL_V1, "a process of many threads", (it) => {
  it("is moved whole, but not when a thread of it is somewhere else, which could not be put back", async (machine) => {
    const child = Bun.spawn([process.execPath, "-e", TWO_THREADS], { stdout: "pipe" });
    try {
      const { value } = await child.stdout.getReader().read();
      const stray = Number(new TextDecoder().decode(value));
      const { pid } = child;
      expect(listThreads(realHost(), pid)).toContain(stray);
      const hierarchy = machine.hierarchies.find(({ controllers }) =>
        controllers.includes("pids"),
      ) as Hierarchy;
      const origin = directoryIn(hierarchy, machine.origin);
      machine.fs.write(`${origin}/cgroup.procs`, String(pid));
      makeUsable(machine.fs, hierarchy, `${origin}/job`);
      const move = { hierarchy, from: origin, to: `${origin}/job` };

      const home = directoryIn(hierarchy, machine.home);
      machine.fs.write(`${home}/tasks`, String(stray));
      expect(moveProcess(realHost(), pid, startTicksOf(pid), move)).toEqual({
        reason: `its thread ${stray} is in another cgroup than its main thread, which could not be put back`,
      });
      expect(machine.fs.read(`${home}/tasks`)).toBe(`${stray}\n`);

      machine.fs.write(`${origin}/tasks`, String(stray));
      expect(moveProcess(realHost(), pid, startTicksOf(pid), move)).toBe("moved");
      expect(machine.fs.read(`${origin}/tasks`)).toBe("");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  });
});

/** A fake machine with the /proc that goes with it: what is in `parents` runs, with its start time. */
function fakeHost(fake: FakeCgroups, stats: Record<number, { ppid: number; startTicks: number }>) {
  const proc = procTree({});
  const sync = (): void => {
    for (const [pid, stat] of Object.entries(stats)) {
      mkdirSync(`${proc.host.procRoot}/${pid}`, { recursive: true });
      writeFileSync(`${proc.host.procRoot}/${pid}/stat`, statLine({ pid: Number(pid), ...stat }));
      writeFileSync(`${proc.host.procRoot}/${pid}/cgroup`, fake.cgroupText(Number(pid)));
    }
  };
  sync();
  /** `during` happens while the kernel moves the process, seen by whoever looks afterwards. */
  const during = (happen: () => void): Host => ({
    ...proc.host,
    cgroupFs: {
      ...fake.fs,
      write(path, data) {
        happen();
        try {
          fake.fs.write(path, data);
        } finally {
          sync();
        }
      },
    },
  });
  return { during, [Symbol.dispose]: () => proc[Symbol.dispose]() };
}

for (const [name, make] of [
  ["v1", () => fakeV1({ together: ["cpu,cpuacct,memory,blkio,pids"] })],
  ["v2", fakeV2],
] as const) {
  test(`a stranger that was given the pid during the move goes back to its parent (${name})`, () => {
    const fake = make();
    const hierarchy = fake.hierarchies.find(({ key }) => key !== "cpuset") as Hierarchy;
    const root = hierarchy.mountPoint;
    for (const each of fake.hierarchies) {
      for (const group of ["from", "shell"]) makeUsable(fake.fs, each, `${each.mountPoint}/${group}`);
    }
    makeUsable(fake.fs, hierarchy, `${root}/from/job`);
    fake.addProcess(4026, "/from");
    fake.addProcess(900, "/shell");
    const stats = { 4026: { ppid: 1, startTicks: 100 }, 900: { ppid: 1, startTicks: 5 } };
    using host = fakeHost(fake, stats);
    let writes = 0;
    const act = host.during(() => {
      if (writes++ > 0) return;
      fake.exit(4026);
      fake.addProcess(4026, "/shell");
      stats[4026] = { ppid: 900, startTicks: 101 };
    });
    const move = { hierarchy, from: `${root}/from`, to: `${root}/from/job` };
    expect(moveProcess(act, 4026, 100, move)).toBe("gone");
    expect(fake.membership(4026).get(hierarchy.key)).toBe("/shell");
  });
}

/** Moves a process whose pid goes to a stranger without a parent meanwhile; `then` comes with the stranger. */
function moveWhilePidIsReused(fake: FakeCgroups, then = () => {}): MoveOutcome {
  fake.fs.mkdir("/sys/fs/cgroup/from");
  fake.fs.mkdir("/sys/fs/cgroup/job");
  fake.addProcess(4026, "/from");
  const stats = { 4026: { ppid: 1, startTicks: 100 } };
  using host = fakeHost(fake, stats);
  const act = host.during(() => {
    stats[4026] = { ppid: 900, startTicks: 101 };
    then();
  });
  const [hierarchy] = fake.hierarchies as [Hierarchy];
  return moveProcess(act, 4026, 100, { hierarchy, from: "/sys/fs/cgroup/from", to: "/sys/fs/cgroup/job" });
}

test("a stranger whose parent is gone goes to where the process was that had its pid", () => {
  const fake = fakeV2();
  expect(moveWhilePidIsReused(fake)).toBe("gone");
  expect(fake.membership(4026).get("")).toBe("/from");
});

test("a stranger that cannot be put back is told of", () => {
  const fake = fakeV2();
  expect(moveWhilePidIsReused(fake, () => fake.setAccess("denied", "/sys/fs/cgroup/from"))).toEqual({
    reason:
      "its pid went to another process during the move, which could not be put back: " +
      'EACCES (permission denied) writing "4026" to /sys/fs/cgroup/from/cgroup.procs',
  });
});

test("a process that ends during the move is gone", () => {
  const fake = fakeV2();
  fake.fs.mkdir("/sys/fs/cgroup/job");
  fake.addProcess(4026);
  using host = fakeHost(fake, { 4026: { ppid: 1, startTicks: 100 } });
  const [hierarchy] = fake.hierarchies as [Hierarchy];
  const move = { hierarchy, from: "/sys/fs/cgroup", to: "/sys/fs/cgroup/job" };
  expect(
    moveProcess(
      host.during(() => fake.exit(4026)),
      4026,
      100,
      move,
    ),
  ).toBe("gone");
});
