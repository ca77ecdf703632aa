import { directoryOf, type Membership } from "../../linux/cgroup/hierarchies.ts";
import { isOwnedByUs } from "../../linux/cgroup/trust.ts";
import type { Context } from "../context.ts";
import { isGroupName } from "../job.ts";
import { groupName } from "../model/jobId.ts";

/** The cgroup of a job or a tenant that a process is in. */
interface GovernedCgroup {
  name: string;
  /** Its name has another tag than those of our state directory, or nothing but its name shows that it is a job's. */
  byAnother: boolean;
}

/**
 * Returns the innermost cgroup of any ffrtmp around a process. Only a directory of root (or of the user of this process),
 * or one that an open job in our ledger has, counts: the owner of a delegated subtree can name a cgroup as ffrtmp would, and
 * so escape the policy. A process in the job of another user's ffrtmp is governed below that job, whose limits still apply.
 * The name counts where a directory is not visible here: outside of it nothing could be done for the process.
 */
export function findGovernedCgroup(context: Context, membership: Membership): GovernedCgroup | undefined {
  const { host, hierarchies, state } = context;
  let found: GovernedCgroup | undefined;
  for (const [key, cgroupPath] of membership) {
    if (!cgroupPath.includes("/ffrtmp-")) continue;
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    // Jobs are in hierarchies with controllers. A named one, which systemd gives to users, has none.
    if (hierarchy === undefined || key.startsWith("name=")) continue;
    const parts = cgroupPath.split("/");
    for (const [index, name] of parts.entries()) {
      if (!isGroupName(name)) continue;
      const directory = directoryOf(hierarchy, parts.slice(0, index + 1).join("/"));
      const isTrusted = directory === undefined || isOwnedByUs(host.cgroupFs, directory);
      if (!isTrusted && !isOfOpenJob(context, directory)) continue;
      const isOurs = directory !== undefined && name.startsWith(groupName(state.tag, ""));
      found = { name, byAnother: !isOurs };
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Returns whether an open job in our ledger has this directory. The operator may have delegated it since. */
function isOfOpenJob({ ledger }: Context, directory: string): boolean {
  return ledger.openJobs().some(({ cgroup }) => cgroup.some(({ path }) => path === directory));
}
