import { type Counters, type Details, UNKNOWN_COUNTERS, UNKNOWN_DETAILS } from "../../limits/counters.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import { backendOf, controllersOf } from "./backends.ts";
import { hasOnlyCompanions } from "./companion.ts";
import type { CgroupController } from "./controller.ts";
import type { Hierarchy } from "./hierarchies.ts";
import { asDirectory, type JobCgroup } from "./jobCgroup.ts";

/** Returns a function that reads the present counters of a job's cgroup, or of its tenant's, in all hierarchies. */
export function counterReader(job: JobCgroup): () => Counters {
  return merging(
    UNKNOWN_COUNTERS,
    readersOf(job, ({ counters }) => counters),
  );
}

/** Returns a function that reads the CPU time of a job's cgroup, in µs; `null` where nothing counts it. */
export function cpuTimeReader(job: JobCgroup): () => number | null {
  const counting = job.directories.map((directory) => ({
    ...directory,
    controllers: directory.controllers.filter(({ name }) => name === "cpu" || name === "cpuacct"),
  }));
  const read = counterReader({ ...job, directories: counting });
  return () => read().cpuUsec;
}

/** The same for any cgroup, by its directory in a hierarchy that counts the CPU time. */
export function cpuTimeReaderAt(fs: CgroupFs, hierarchy: Hierarchy, path: string): () => number | null {
  const controllers = controllersOf(hierarchy);
  const directory = { hierarchy, path, origin: path, placedAs: "child" as const, controllers };
  return cpuTimeReader({ fs, directories: [directory], changes: [], unavailable: [] });
}

export function detailReader(job: JobCgroup): () => Details {
  return merging(
    UNKNOWN_DETAILS,
    readersOf(job, ({ details }) => details),
  );
}

type Reads = Pick<CgroupController, "counters" | "details">;

function readersOf<T>(
  job: JobCgroup,
  choose: (controller: Reads) => ((cgroup: ReturnType<typeof asDirectory>, known: T) => void) | undefined,
): ((known: T) => void)[] {
  const isCpuCounted = job.directories.some(({ controllers }) =>
    controllers.some(({ name }) => name === "cpuacct"),
  );
  return job.directories.flatMap((directory) => {
    const { hierarchy, controllers } = directory;
    const { alwaysMeasures } = backendOf(hierarchy);
    // The companion of a job on cgroup v1 would count its CPU time again.
    const skipsCpu = isCpuCounted && hasOnlyCompanions(hierarchy);
    const all: Reads[] = [...alwaysMeasures, ...controllers].filter(
      (each) => !(skipsCpu && "name" in each && each.name === "cpu"),
    );
    const cgroup = asDirectory(job, directory);
    return [...new Set(all)].flatMap((controller) => {
      const read = choose(controller);
      return read === undefined ? [] : [(known: T) => read(cgroup, known)];
    });
  });
}

/** Of a value that several readers know, the first one counts. */
function merging<T extends object>(unknown: T, readers: readonly ((known: T) => void)[]): () => T {
  return () => {
    const known = { ...unknown };
    for (const read of readers) read(known);
    return known;
  };
}
