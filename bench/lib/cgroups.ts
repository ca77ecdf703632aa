import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  directoryOf,
  type Hierarchy,
  readHierarchies,
  readMembership,
} from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";

const GOVERNED_V1 = ["cpu", "cpuacct", "memory", "blkio", "pids"];
/** One group of v2 has all controllers. A CPU limit needs only this one. */
const GOVERNED_V2 = ["cpu"];

export interface Mounted {
  hierarchy: Hierarchy;
  /** The controllers as in `-g CONTROLLERS:PATH` of cgroup-tools. */
  controllers: string[];
  /** The cgroup of this process. */
  own: string;
  /** The cgroup in which benchmarks create theirs: on v1 `own`, on v2 the one above, if there is one. */
  directory: string;
  /** `directory` for cgroup-tools: relative to the mount point. */
  path: string;
}

/** Returns the hierarchies in which a job of ffrtmp has a cgroup. The baselines use the same. */
export function governedHierarchies(): Mounted[] {
  const host = realHost();
  const membership = readMembership(host, "self");
  return readHierarchies(host).flatMap((hierarchy) => {
    const { version, mountPoint } = hierarchy;
    const governed = version === 1 ? GOVERNED_V1 : GOVERNED_V2;
    const controllers = hierarchy.controllers.filter((name) => governed.includes(name));
    const path = membership === "gone" ? undefined : membership.get(hierarchy.key);
    if (controllers.length === 0 || path === undefined) return [];
    const own = directoryOf(hierarchy, path);
    if (own === undefined) return [];
    // On v2 a cgroup with processes gives its children few controllers, so others are beside it.
    const directory = version === 2 && own !== mountPoint ? dirname(own) : own;
    return [{ hierarchy, controllers, own, directory, path: directory.slice(mountPoint.length) }];
  });
}

/** Returns the hierarchy with the CPU controller. Throws when none is mounted. */
export function cpuHierarchy(hierarchies: Mounted[]): Mounted {
  const mounted = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
  if (!mounted) throw new Error("no cgroup hierarchy with the cpu controller is mounted here");
  return mounted;
}

/** Returns the file with a CPU limit, and the text of a limit of one CPU. */
export function oneCpu(hierarchies: Mounted[]): { file: string; text: string } {
  return cpuHierarchy(hierarchies).hierarchy.version === 2
    ? { file: "cpu.max", text: "100000 100000" }
    : { file: "cpu.cfs_quota_us", text: "100000" };
}

/** The cpu controller of v2, for the children of the cgroup in which benchmarks create theirs. */
export interface CpuSwitch extends Disposable {
  /** It was off at the start: benchmarks may switch it off again, because no other cgroup has limits by it. */
  readonly mayBeOff: boolean;
  set(isOn: boolean): void;
}

/**
 * Returns a switch that restores the state of the start at its end. It changes nothing on v1, and nothing of systemd's
 * cgroups.
 */
export function cpuSwitch(hierarchies: Mounted[]): CpuSwitch {
  const { hierarchy, directory } = cpuHierarchy(hierarchies);
  const isOurs = hierarchy.version === 2 && !existsSync("/run/systemd/system");
  const file = `${directory}/cgroup.subtree_control`;
  const isOn = (): boolean => readFileSync(file, "utf8").split(/\s+/).includes("cpu");
  const mayBeOff = isOurs && !isOn();
  const set = (wanted: boolean): void => {
    if (isOurs && (wanted || mayBeOff) && isOn() !== wanted) writeFileSync(file, wanted ? "+cpu" : "-cpu");
  };
  return { mayBeOff, set, [Symbol.dispose]: () => set(!mayBeOff) };
}

/** Returns the directory of a process in a hierarchy; `undefined` when the process is gone. */
export function directoryOfProcess(pid: number, { hierarchy }: Mounted): string | undefined {
  const membership = readMembership(realHost(), pid);
  const path = membership === "gone" ? undefined : membership.get(hierarchy.key);
  return path === undefined ? undefined : directoryOf(hierarchy, path);
}

/** Returns `-g` arguments of cgcreate, cgexec and cgdelete for a group of this name below the cgroups of this process. */
export function toolArguments(hierarchies: Mounted[], name: string): string[] {
  const byPath = Map.groupBy(hierarchies, ({ path }) => path.replace(/^\//, ""));
  return [...byPath].flatMap(([path, mounted]) => [
    "-g",
    `${mounted.flatMap(({ controllers }) => controllers).join()}:${path === "" ? name : `${path}/${name}`}`,
  ]);
}

export function makeGroup(hierarchies: Mounted[], name: string): void {
  for (const { directory } of hierarchies) mkdirSync(`${directory}/${name}`, { recursive: true });
}

/** Removes empty groups with this name prefix, and no others. */
export function removeGroups(hierarchies: Mounted[], prefix: string): void {
  // The companions of jobs are in a hierarchy without controllers.
  const host = realHost();
  const membership = readMembership(host, "self");
  const all = readHierarchies(host).flatMap((hierarchy) => {
    const path = membership === "gone" ? undefined : membership.get(hierarchy.key);
    return (path !== undefined && directoryOf(hierarchy, path)) || [];
  });
  const known = hierarchies.flatMap((mounted) => [mounted.directory, mounted.own]);
  for (const directory of new Set([...known, ...all])) {
    for (const name of readdirSync(directory))
      if (name.startsWith(prefix)) removeTree(`${directory}/${name}`);
  }
}

function removeTree(directory: string): void {
  if (!existsSync(`${directory}/cgroup.procs`)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(`${directory}/${entry.name}`);
  }
  try {
    rmdirSync(directory);
  } catch {
    // A process is still in it, which is not ours to end.
  }
}

export function setKnob(
  hierarchies: Mounted[],
  controller: string,
  name: string,
  file: string,
  value: string,
) {
  const mounted = hierarchies.find(({ controllers }) => controllers.includes(controller));
  if (mounted) writeFileSync(`${mounted.directory}/${name}/${file}`, value);
}

/** Reads a file of a cgroup; `undefined` where there is none. */
export function readKnob(directory: string, file: string): string | undefined {
  try {
    return readFileSync(`${directory}/${file}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
