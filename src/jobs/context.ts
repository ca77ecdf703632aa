import type { Ledger } from "../ledger/ledger.ts";
import type { StateFiles } from "../ledger/location.ts";
import { whyUnusable } from "../linux/cgroup/findJobCgroup.ts";
import { type Hierarchy, readHierarchies } from "../linux/cgroup/hierarchies.ts";
import type { Host } from "../linux/host.ts";
import { type ProcessIdentity, readIdentity } from "../linux/proc/identity.ts";
import { readLink } from "../linux/proc/table.ts";
import { Refusal } from "./errors.ts";
import type { JobResult } from "./model/ending.ts";
import type { OpenJob } from "./model/job.ts";

/** The dependencies of everything that governs a process. */
export interface Context {
  host: Host;
  hierarchies: Hierarchy[];
  ledger: Ledger;
  state: StateFiles;
  bootId: string;
  self: ProcessIdentity;
  /** Reports to the operator a problem that does not stop the command. */
  warn(message: string): void;
  /** Receives each result that this process records for a job whose end no ffrtmp observed. */
  onUnobservedEnd?(job: OpenJob, result: JobResult): void;
  /** Returns the PIDs of the processes beside a daemon, whose descendants are no workloads: see eligibility.ts. */
  helpers?(): readonly (number | undefined)[];
}

export function createContext(given: Pick<Context, "host" | "ledger" | "state" | "warn">): Context {
  const { host } = given;
  rejectForeignProc(host);
  const self = readIdentity(host, process.pid);
  if (self === "gone") {
    throw new Refusal(
      `cannot read ${host.procRoot}/${process.pid}/stat, this process's own entry`,
      "mount procfs: mount -t proc proc /proc",
    );
  }
  const hierarchies = readHierarchies(host);
  given.ledger.checkJobs((job) => whyUnusable(hierarchies, job));
  return { ...given, hierarchies, bootId: self.bootId, self };
}

/** Throws a Refusal in a new pid namespace with the procfs of its parent, which shows other processes under the pids. */
function rejectForeignProc(host: Host): void {
  const shown = readLink(host, "self");
  if (shown === undefined || Number(shown) === process.pid) return;
  throw new Refusal(
    `${host.procRoot} shows the processes of another pid namespace: this one is PID ${process.pid} here and PID ${shown} there`,
    "unshare --pid --fork --mount-proc …, or inside: mount -t proc proc /proc",
  );
}
