import type { OpenJob } from "../../jobs/model/job.ts";
import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import type { Host } from "../../linux/host.ts";
import { readCpus } from "../machine.ts";
import { sharesOf } from "./model.ts";
import { ShareTreeReader } from "./shareTree.ts";
import type { JobInTree } from "./treeReading.ts";

/** The time between two readings of the tree: it has all threads of the machine. */
const RENEW_MS = 10_000;
/** The first shares are those of a shorter time. */
const FIRST_MS = 500;
const KEY_OF_V2 = "";

/** Returns where the threads of a job are; `undefined` for a job without any cgroup. */
export function placeOf(
  { key, cgroup, process }: OpenJob,
  hierarchies: readonly Hierarchy[],
): JobInTree | undefined {
  const cpu = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
  const location = cgroup.find(({ hierarchy }) => hierarchy === cpu?.key) ?? cgroup[0];
  if (location === undefined || process === null) return undefined;
  const threadsFile = location.hierarchy === KEY_OF_V2 ? "cgroup.threads" : "tasks";
  return { name: key, path: location.path, threadsFile, pid: process.pid };
}

/** Returns the share of a job in the shares of a tree. A job whose threads did not run divides nothing: it is unknown. */
function shareOf(shares: ReadonlyMap<string, number>, { name, path }: JobInTree): number | null {
  return (shares.get(path) ?? shares.get(name)) || null;
}

/** Computes the cores that jobs get when everything is busy, at most each 10 s. Reads only. */
export class SureCoresReader {
  readonly #host: Host;
  readonly #tree: ShareTreeReader;
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** The last reading was the first one. */
  #isFirst = true;
  #shares: ReadonlyMap<string, number> | undefined;

  constructor(host: Host, hierarchies: readonly Hierarchy[]) {
    this.#host = host;
    this.#tree = new ShareTreeReader(host, hierarchies);
  }

  /** Returns the cores of a job, given all jobs of the machine. `null`: not known. */
  measure(jobs: Iterable<JobInTree>): (job: JobInTree) => number | null {
    const nowMs = this.#host.bootNow();
    if (nowMs - this.#readAtMs >= (this.#isFirst ? FIRST_MS : RENEW_MS)) {
      // Only the second reading can have shares. A tree that is too large or not visible is not read more often for that.
      this.#isFirst = this.#readAtMs === Number.NEGATIVE_INFINITY;
      this.#readAtMs = nowMs;
      const root = this.#tree.read([...jobs]);
      const { cpuCount, cpuTicks } = readCpus(this.#host);
      // Without /proc/stat the number of CPUs is not known.
      this.#shares = root === undefined || cpuTicks === null ? undefined : sharesOf(root, cpuCount);
    }
    const shares = this.#shares;
    return (job) => (shares === undefined ? null : shareOf(shares, job));
  }
}
