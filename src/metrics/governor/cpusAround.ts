import { listCpus, readCpuShare } from "../../linux/cgroup/cpuDivision.ts";
import {
  ancestorsOf,
  cgroupPathOf,
  directoryOf,
  type Hierarchy,
  readMembership,
} from "../../linux/cgroup/hierarchies.ts";
import { cpuTimeReaderAt } from "../../linux/cgroup/jobCounters.ts";
import type { Host } from "../../linux/host.ts";
import { visible } from "../../linux/proc/table.ts";

/** A batch job, with its cgroup in the hierarchy of the cpu controller. */
export interface BatchPlace {
  readonly pid: number;
  readonly path: string;
}

/** A CPU quota of a cgroup around jobs. */
export interface QuotaAround {
  readonly path: string;
  readonly cores: number;
  /** Reads the CPU time of the cgroup with all below it, in µs. `null`: nothing counts it. */
  readonly readUsec: () => number | null;
}

/**
 * Returns the CPUs that the cpusets of these jobs leave them together. `undefined`: all of the machine, or those of one job
 * are not known.
 */
export function findCpusOf(
  host: Host,
  hierarchies: readonly Hierarchy[],
  jobs: readonly BatchPlace[],
): readonly number[] | undefined {
  const hierarchy = hierarchies.find(({ controllers }) => controllers.includes("cpuset"));
  if (hierarchy === undefined) return undefined;
  const all = new Set<number>();
  for (const { pid } of jobs) {
    const path = visible(() => readMembership(host, pid))?.get(hierarchy.key);
    const directory = path === undefined ? undefined : directoryOf(hierarchy, path);
    const cpus = directory === undefined ? null : listCpusAt(host, hierarchy, directory);
    if (cpus === null) return undefined;
    for (const cpu of cpus) all.add(cpu);
  }
  return all.size === 0 ? undefined : [...all].toSorted((a, b) => a - b);
}

/** On v2 a cgroup without the cpuset controller has the CPUs of the one above it. */
function listCpusAt({ cgroupFs: fs }: Host, hierarchy: Hierarchy, path: string): readonly number[] | null {
  for (const each of [path, ...ancestorsOf(hierarchy, path)]) {
    const cpus = listCpus({ fs, path: each });
    if (cpus !== null) return cpus;
  }
  return null;
}

/**
 * Returns the quotas of all cgroups that contain all these jobs, up to the mount point; not those of their own cgroups. Those in
 * which nothing counts the CPU time are left out: what the others use of them is not known.
 */
export function findQuotasAround(
  { cgroupFs: fs }: Host,
  hierarchies: readonly Hierarchy[],
  jobs: readonly BatchPlace[],
): QuotaAround[] {
  const hierarchy = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
  const [first, ...others] = jobs.map(({ path }) => path);
  if (hierarchy === undefined || first === undefined) return [];
  const around = ancestorsOf(hierarchy, first).filter((path) =>
    others.every((other) => other.startsWith(`${path}/`)),
  );
  return around.flatMap((path) => {
    const cores = readCpuShare({ fs, hierarchy, path })?.quotaCores ?? null;
    if (cores === null) return [];
    const readUsec = usecReader(fs, hierarchies, hierarchy, path);
    return readUsec() === null ? [] : [{ path, cores, readUsec }];
  });
}

/** On v1 another hierarchy can count the CPU time, in which the cgroup may not exist. */
function usecReader(
  fs: Host["cgroupFs"],
  hierarchies: readonly Hierarchy[],
  hierarchy: Hierarchy,
  path: string,
): () => number | null {
  const counting =
    hierarchy.version === 2
      ? hierarchy
      : hierarchies.find(({ controllers }) => controllers.includes("cpuacct"));
  const directory = counting && directoryOf(counting, cgroupPathOf(hierarchy, path));
  if (counting === undefined || directory === undefined) return () => null;
  return cpuTimeReaderAt(fs, counting, directory);
}
