import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { directoryOf, readHierarchies, readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";

const GOVERNED = ["cpu", "cpuacct", "memory", "blkio", "pids"];

export interface Mounted {
  /** The controllers as in `-g CONTROLLERS:PATH` of cgroup-tools. */
  controllers: string[];
  /** The cgroup of this process. Benchmarks create theirs below it. */
  directory: string;
  /** The same cgroup for cgroup-tools: relative to the mount point. */
  path: string;
}

/** Returns the v1 hierarchies in which a job of ffrtmp has a cgroup. The baselines use the same. */
export function governedHierarchies(): Mounted[] {
  const host = realHost();
  const membership = readMembership(host, "self");
  return readHierarchies(host).flatMap((hierarchy) => {
    const controllers = hierarchy.controllers.filter((name) => GOVERNED.includes(name));
    const path = membership === "gone" ? undefined : membership.get(hierarchy.key);
    if (hierarchy.version !== 1 || controllers.length === 0 || path === undefined) return [];
    const directory = directoryOf(hierarchy, path);
    if (directory === undefined) return [];
    return [{ controllers, directory, path: directory.slice(hierarchy.mountPoint.length) }];
  });
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
  for (const { directory } of hierarchies) {
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

export function readKnob(mounted: Mounted, name: string, file: string): string | undefined {
  try {
    return readFileSync(`${mounted.directory}/${name}/${file}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
