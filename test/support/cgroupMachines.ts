import { readFileSync } from "node:fs";
import {
  directoryOf,
  type Hierarchy,
  type Membership,
  parseMembership,
} from "../../src/linux/cgroup/hierarchies.ts";
import { type CgroupFs, realCgroupFs } from "../../src/linux/cgroupFs.ts";
import { type FakeCgroups, fakeV1, fakeV2 } from "./fakeCgroups.ts";
import type { Access } from "./fakeCgroupTree.ts";
import { findDisk, findRealCgroups, type RealCgroups, writeToKernel } from "./realCgroups.ts";

/**
 * A machine for tests of cgroups: a fake one, or this one. Disposing of it removes its processes and cgroups.
 */
export interface CgroupMachine {
  version: 1 | 2;
  fs: CgroupFs;
  hierarchies: Hierarchy[];
  /** A cgroup for tests in every hierarchy, the parent of `origin` and `home`. */
  base: Membership;
  /** A cgroup without processes, where jobs can be created. */
  origin: Membership;
  /** The cgroup in which processes start. */
  home: Membership;
  /** Starts a process in `home` and moves it to these directories. */
  start(...directories: string[]): number;
  end(pid: number): Promise<void>;
  /** The cgroups of the thread that runs the test, which has to remove the jobs that it creates there. */
  ownMembership(): Membership;
  /** Restricts access from now on. Only fakes have it. */
  restrict?(access: Access): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The processes of a machine, which are real or fake. */
interface Processes {
  start(): number;
  end(pid: number): Promise<void>;
  ownMembership(): Membership;
}

export function fakeMachine(fake: FakeCgroups): CgroupMachine {
  const version = fake.hierarchies[0]?.version ?? 2;
  let nextPid = 5000;
  fake.addProcess(4000);
  fake.actAs(4000);
  const processes: Processes = {
    start() {
      fake.addProcess(++nextPid);
      return nextPid;
    },
    async end(pid) {
      fake.exit(pid);
    },
    ownMembership: () => fake.membership(4000),
  };
  const top: Membership = new Map(fake.hierarchies.map(({ key }) => [key, "/"]));
  const machine = buildMachine(version, fake.fs, fake.hierarchies, top, processes);
  return {
    ...machine,
    restrict(access) {
      for (const { mountPoint } of fake.hierarchies) fake.setAccess(access, mountPoint);
    },
  };
}

function realMachine(real: RealCgroups): CgroupMachine {
  const running = new Map<number, Bun.Subprocess>();
  const processes: Processes = {
    start() {
      const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
      running.set(sleeper.pid, sleeper);
      return sleeper.pid;
    },
    async end(pid) {
      running.get(pid)?.kill("SIGKILL");
      await running.get(pid)?.exited;
    },
    ownMembership: () => parseMembership(readFileSync("/proc/thread-self/cgroup", "utf8")),
  };
  return buildMachine(real.version, realCgroupFs, real.hierarchies, real.membership, processes);
}

/** Writes to any file of a machine's cgroups, as an operator does. */
export function writeAsOperator({ fs }: CgroupMachine, path: string, data: string): void {
  if (fs === realCgroupFs) writeToKernel(path, data);
  else fs.write(path, data);
}

export interface MachineChoice {
  name: string;
  isFake: boolean;
  /** The reason why there is no such machine here. */
  missing: string | undefined;
  /** `major:minor` of a disk to throttle, where there is one. */
  disk: string | undefined;
  open(): CgroupMachine;
}

export const FAKE_V1 = fakeChoice("a fake cgroup v1 machine", () => fakeV1());
export const FAKE_V2 = fakeChoice("a fake cgroup v2 machine", () => fakeV2());
export const REAL_V1 = realChoice(1);
export const REAL_V2 = realChoice(2);

export const MACHINES: MachineChoice[] = [
  FAKE_V1,
  fakeChoice("a fake cgroup v1 machine with shared hierarchies", () =>
    fakeV1({ together: ["cpu,cpuacct", "memory,pids"] }),
  ),
  fakeChoice("a fake cgroup v1 machine with one hierarchy for all", () =>
    fakeV1({ together: ["cpuset,cpu,cpuacct,blkio,memory,pids"] }),
  ),
  FAKE_V2,
  REAL_V1,
  REAL_V2,
];

function fakeChoice(name: string, make: () => FakeCgroups): MachineChoice {
  return { name, isFake: true, missing: undefined, disk: "8:0", open: () => fakeMachine(make()) };
}

function realChoice(version: 1 | 2): MachineChoice {
  const real = findRealCgroups(version);
  const name = `the real cgroup v${version} of this machine`;
  const disk = findDisk();
  if (typeof real !== "string")
    return { name, isFake: false, missing: undefined, disk, open: () => realMachine(real) };
  const open = (): never => {
    throw new Error(real);
  };
  return { name, isFake: false, missing: real, disk, open };
}

let machines = 0;

function buildMachine(
  version: 1 | 2,
  fs: CgroupFs,
  hierarchies: Hierarchy[],
  top: Membership,
  processes: Processes,
): CgroupMachine {
  const name = `ffrtmp-test-${process.pid}-${++machines}`;
  const below = (suffix: string): Membership =>
    new Map(hierarchies.map(({ key }) => [key, `${top.get(key)}/${name}${suffix}`.replace("//", "/")]));
  const started: number[] = [];
  const enabled: string[] = [];
  const base = below("");
  const home = below("/home");
  const origin = below("/origin");

  for (const hierarchy of hierarchies) {
    if (version === 2) enabled.push(...enableAll(fs, directoryIn(hierarchy, top)));
    for (const place of [base, home, origin]) makeUsable(fs, hierarchy, directoryIn(hierarchy, place));
    if (version === 2) enableAll(fs, directoryIn(hierarchy, base));
  }

  return {
    version,
    fs,
    hierarchies,
    base,
    origin,
    home,
    start(...directories) {
      const pid = processes.start();
      started.push(pid);
      const homes = hierarchies.map((hierarchy) => directoryIn(hierarchy, home));
      for (const directory of [...homes, ...directories]) fs.write(`${directory}/cgroup.procs`, String(pid));
      return pid;
    },
    end: processes.end,
    ownMembership: processes.ownMembership,
    async [Symbol.asyncDispose]() {
      for (const pid of started) await processes.end(pid);
      for (const hierarchy of hierarchies) removeTree(fs, directoryIn(hierarchy, base));
      for (const controller of enabled) {
        fs.write(`${directoryIn(hierarchies[0] as Hierarchy, top)}/cgroup.subtree_control`, `-${controller}`);
      }
    },
  };
}

/** Returns the directory of a cgroup that has to be visible. */
export function directoryIn(hierarchy: Hierarchy, membership: Membership): string {
  const directory = directoryOf(hierarchy, membership.get(hierarchy.key) ?? "");
  if (directory === undefined)
    throw new Error(`no cgroup of the ${hierarchy.key} hierarchy in ${[...membership]}`);
  return directory;
}

/** Returns the directory of `machine.origin` in the first hierarchy, which on v2 is the only one. */
export function originOf({ hierarchies, origin }: CgroupMachine): string {
  return directoryIn(hierarchies[0] as Hierarchy, origin);
}

/** Returns the directory of `machine.base` in the first hierarchy. */
export function baseOf({ hierarchies, base }: CgroupMachine): string {
  return directoryIn(hierarchies[0] as Hierarchy, base);
}

/** Makes a cgroup that processes can join. */
export function makeUsable(fs: CgroupFs, hierarchy: Hierarchy, directory: string): void {
  fs.mkdir(directory);
  if (hierarchy.version === 2 || !hierarchy.controllers.includes("cpuset")) return;
  const parent = directory.slice(0, directory.lastIndexOf("/"));
  for (const file of ["cpuset.mems", "cpuset.cpus"])
    fs.write(`${directory}/${file}`, fs.read(`${parent}/${file}`));
}

/** Enables all controllers for the children of a v2 cgroup. Returns those that were not enabled before. */
function enableAll(fs: CgroupFs, directory: string): string[] {
  const words = (file: string): string[] => fs.read(`${directory}/${file}`).split(/\s+/).filter(Boolean);
  const missing = words("cgroup.controllers").filter(
    (name) => !words("cgroup.subtree_control").includes(name),
  );
  for (const name of missing) fs.write(`${directory}/cgroup.subtree_control`, `+${name}`);
  return missing;
}

function removeTree(fs: CgroupFs, directory: string): void {
  for (const child of fs.children(directory)) removeTree(fs, `${directory}/${child}`);
  fs.rmdir(directory);
}
