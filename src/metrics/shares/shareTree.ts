import { countCpus } from "../../linux/cgroup/cpuDivision.ts";
import { directoryOf, type Hierarchy, readMembership } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { isOutsideInitialNamespace } from "../../linux/proc/namespaces.ts";
import { visible } from "../../linux/proc/table.ts";
import type { ShareGroup } from "./model.ts";
import { type JobInTree, TooMany, TreeReading } from "./treeReading.ts";

/**
 * Reads the tree of what competes for the CPUs: the cgroups of jobs, those around them, and those and the threads beside
 * them. A cgroup that is not around a job counts with all below it as one.
 *
 * The kernel has no counter of the threads that are ready to run. A thread's part of the time in which it ran or waited for
 * a CPU, from schedstat, is the number of CPUs that it would use if it were alone. A job counts with more, because it is to
 * be sure of its share when it peaks, too: with each thread that has run at all where it has a cgroup, whose weight they
 * share; without one, with as many as were ready on average, rounded up, because each of them weighs.
 */
export class ShareTreeReader {
  readonly #host: Host;
  readonly #hierarchy: Hierarchy | undefined;
  /** On v1 another one than that of the cpu controller. */
  readonly #cpusets: Hierarchy | undefined;
  readonly #isVisible: boolean;
  readonly #threadsFile: string;
  #before: TreeReading | undefined;

  constructor(host: Host, hierarchies: readonly Hierarchy[]) {
    this.#host = host;
    this.#hierarchy = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
    this.#cpusets = hierarchies.find(({ controllers }) => controllers.includes("cpuset"));
    // In a container, what competes outside of it is not visible.
    this.#isVisible =
      this.#hierarchy?.mountRoot === "/" &&
      !isOutsideInitialNamespace(host, "cgroup") &&
      !isOutsideInitialNamespace(host, "pid");
    const root = this.#hierarchy?.mountPoint ?? "";
    this.#threadsFile = host.cgroupFs.exists(`${root}/cgroup.threads`) ? "cgroup.threads" : "tasks";
  }

  /** False: no reading will have a tree, because a part of it is outside of this container. */
  get isVisible(): boolean {
    return this.#isVisible;
  }

  /** The key of the hierarchy with the cpu controller, in which jobs are looked for. */
  get hierarchyKey(): string | undefined {
    return this.#hierarchy?.key;
  }

  /**
   * Returns the tree between this reading and the one before. `undefined`: this is the first reading, a part of the tree is
   * not visible, or it is too large.
   */
  read(jobs: readonly JobInTree[]): ShareGroup | undefined {
    const hierarchy = this.#hierarchy;
    if (hierarchy === undefined || !this.#isVisible) return undefined;
    const before = this.#before;
    const reading = new TreeReading(this.#host, hierarchy, this.#threadsFile, before);
    try {
      for (const job of jobs) reading.addJob(job, this.#cpusOf(job.pid));
      const root = reading.root();
      this.#before = reading;
      return reading.elapsedUsec > 0 ? root : undefined;
    } catch (error) {
      if (!(error instanceof TooMany)) throw error;
      this.#before = undefined;
      return undefined;
    }
  }

  /** All threads of a job are in one cpuset, unless the workload makes more. */
  #cpusOf(pid: number): number | null {
    const hierarchy = this.#cpusets;
    const membership = visible(() => readMembership(this.#host, pid));
    const path = membership?.get(hierarchy?.key ?? "");
    const directory = hierarchy && path !== undefined ? directoryOf(hierarchy, path) : undefined;
    return directory === undefined ? null : countCpus({ fs: this.#host.cgroupFs, path: directory });
  }
}
