import { basename, dirname } from "node:path";
import type { Context } from "../../jobs/context.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { parseCpuList } from "../../limits/grammar.ts";
import { countCpus, readCpuShare } from "../../linux/cgroup/cpuDivision.ts";
import { directoryOf, type Hierarchy, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { CgroupFs } from "../../linux/cgroupFs.ts";
import type { Change } from "../../linux/change.ts";
import { listThreads, listTree } from "../../linux/proc/table.ts";
import { readCpus } from "../machine.ts";
import { type ShareGroup, sharesOf } from "./model.ts";
import { ShareTreeReader } from "./shareTree.ts";
import { placeOf } from "./sureCores.ts";
import type { JobInTree } from "./treeReading.ts";

/** A process that is no job yet, and the changes that would make it one: see `DryRun`. */
export interface PlannedJob {
  readonly pid: number;
  /** The directories that it would be in. */
  readonly cgroups: readonly string[];
  readonly changes: readonly Change[];
}

/** The cores that a planned job would be sure of, or why that is not known. */
export type PlannedShare = { readonly cores: number } | { readonly unknown: string };

/** Between two readings of the tree. */
const INTERVAL_MS = 1000;

/**
 * Computes what each of these processes would be sure of if it alone became a job now. Reads for a second, and changes
 * nothing. A process whose job would get a scope is left out: systemd decides about that cgroup.
 */
export async function readPlannedShares(
  context: Context,
  open: readonly OpenJob[],
  plans: readonly PlannedJob[],
  intervalMs = INTERVAL_MS,
): Promise<PlannedShare[]> {
  const { host, hierarchies } = context;
  const reader = new ShareTreeReader(host, hierarchies);
  const hierarchy = hierarchies.find(({ key }) => key === reader.hierarchyKey);
  if (plans.length === 0 || hierarchy === undefined)
    return plans.map(() => ({ unknown: "no cgroup hierarchy has the cpu controller" }));
  const jobs = [
    ...open.flatMap((job) => placeOf(job, hierarchies) ?? []),
    ...plans.flatMap(({ pid }) => placeOfProcess(context, hierarchy, pid) ?? []),
  ];
  reader.read(jobs);
  if (reader.isVisible) await Bun.sleep(intervalMs);
  const root = reader.read(jobs);
  if (root === undefined)
    return plans.map(() => ({
      unknown: "not all cgroups of the machine are visible, or there are too many threads",
    }));
  const cores = readCpus(host).cpuCount;
  return plans.map((plan) => plannedShareOf(root, plan, { fs: host.cgroupFs, hierarchy, cores }));
}

/** Returns the threads of a process and its descendants where they are now. `undefined`: it is gone. */
function placeOfProcess({ host }: Context, hierarchy: Hierarchy, pid: number): JobInTree | undefined {
  const membership = readMembership(host, pid);
  const path = membership === "gone" ? undefined : membership.get(hierarchy.key);
  const directory = path === undefined ? undefined : directoryOf(hierarchy, path);
  if (directory === undefined) return undefined;
  const threads = listTree(host, pid).flatMap((each) => listThreads(host, each));
  return { name: nameOf(pid), path: directory, threadsFile: "", pid, threads };
}

/** No path of a cgroup and no key of a job has this form. */
function nameOf(pid: number): string {
  return `(pid ${pid})`;
}

interface Machine {
  readonly fs: CgroupFs;
  readonly hierarchy: Hierarchy;
  readonly cores: number;
}

/** Returns the share of a planned job in the tree in which it is still a process among others. */
export function plannedShareOf(
  root: ShareGroup,
  plan: PlannedJob,
  { fs, hierarchy, cores }: Machine,
): PlannedShare {
  if (plan.changes.some(({ kind }) => kind === "scope-started"))
    return { unknown: "systemd makes the cgroup of its scope only when it starts" };
  const name = nameOf(plan.pid);
  const { rest, ran } = withoutProcess(root, name);
  if (ran === 0) return { unknown: "its threads did not run meanwhile" };
  const path = plan.cgroups.find((each) => each.startsWith(`${hierarchy.mountPoint}/`));
  const chain = path === undefined ? [] : plannedGroups(plan, path, { fs, hierarchy });
  // Without a cgroup that competes for CPU time, its threads stay among those beside them.
  if (chain.at(-1)?.path !== path || path === undefined)
    return { cores: sharesOf(root, cores).get(name) ?? 0 };
  return { cores: sharesOf(withGroups(rest, chain, ran), cores).get(path) ?? 0 };
}

type PlannedGroup = Pick<ShareGroup, "path" | "weight" | "quotaCores" | "cpus">;

/** Returns the cgroups from the root down to the job's that would divide CPU time, as they would be. */
function plannedGroups(
  { changes }: PlannedJob,
  path: string,
  { fs, hierarchy }: Omit<Machine, "cores">,
): PlannedGroup[] {
  const { mountPoint, version } = hierarchy;
  const written = new Map(
    changes.flatMap((change) => (change.kind === "file-written" ? [[change.path, change.after ?? ""]] : [])),
  );
  const isDivided = (group: string): boolean =>
    version === 1 ||
    changes.some(
      (change) =>
        change.kind === "controller-enabled" && change.controller === "cpu" && change.path === dirname(group),
    ) ||
    written.has(`${group}/cpu.max`) ||
    written.has(`${group}/cpu.weight`);
  const isCreated = (group: string): boolean =>
    changes.some((change) => change.kind === "cgroup-created" && change.path === group);
  const defaults: Record<string, string> = version === 1 ? { "cpu.shares": "1024" } : { "cpu.weight": "100" };
  const read = (file: string): string => {
    const known = written.get(file);
    if (known !== undefined) return known;
    const isDefault = isCreated(dirname(file)) && isDivided(dirname(file));
    return (isDefault && defaults[basename(file)]) || fs.read(file);
  };
  const planned: CgroupFs = { ...fs, read, readIn: (directory, file) => read(`${directory}/${file}`) };
  const names = path.slice(mountPoint.length + 1).split("/");
  const paths = names.map((_, index) => [mountPoint, ...names.slice(0, index + 1)].join("/"));
  return paths.flatMap((each): PlannedGroup[] => {
    const share = readCpuShare({ fs: planned, hierarchy, path: each });
    const listed = [...written].find(([file]) => each === path && basename(file) === "cpuset.cpus")?.[1];
    const cpus = parseCpuList(listed ?? "")?.length ?? countCpus({ fs, path: each });
    return share === undefined ? [] : [{ path: each, ...share, cpus }];
  });
}

/** Returns the tree without the threads of the process, and how many of them ran. */
function withoutProcess(root: ShareGroup, name: string): { rest: ShareGroup; ran: number } {
  let ran = 0;
  const strip = (group: ShareGroup): ShareGroup => {
    const threads = group.threads.filter((each) => {
      if (each.name !== name) return true;
      ran += each.ran ?? 0;
      return false;
    });
    return { ...group, threads, children: group.children.map(strip) };
  };
  return { rest: strip(root), ran };
}

/** Returns the tree with these groups, each inside the one before; the last one has only the threads of the job. */
function withGroups(group: ShareGroup, chain: readonly PlannedGroup[], ran: number): ShareGroup {
  const [next, ...further] = chain;
  if (next === undefined) return { ...group, threads: [{ weight: 100, demandCores: ran }], children: [] };
  const known = group.children.find(({ path }) => path === next.path) ?? { threads: [], children: [] };
  const others = group.children.filter(({ path }) => path !== next.path);
  return { ...group, children: [...others, withGroups({ ...known, ...next }, further, ran)] };
}
