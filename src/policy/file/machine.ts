import { findWholeDisk } from "../../linux/blockDevice.ts";
import { hasDiskPriority } from "../../linux/diskPriority.ts";
import { realHost } from "../../linux/host.ts";
import { readOnlineCpus } from "../../linux/onlineCpus.ts";
import { GROUPS_FILE, readNames, USERS_FILE } from "../../linux/proc/idNames.ts";
import { InstalledPrograms } from "../../linux/proc/installedPrograms.ts";

/**
 * The parts of the machine that a policy names. A policy stays valid where one is missing: other machines may have the policy
 * too, or the part may come later.
 */
export interface Machine {
  findDisk: typeof findWholeDisk;
  programs: Pick<InstalledPrograms, "has" | "list">;
  /** The CPUs that are online, as `0-3`; `undefined` where that cannot be read. */
  cpus(): string | undefined;
  /** `undefined` where the file cannot be read. */
  users(): ReadonlySet<string> | undefined;
  groups(): ReadonlySet<string> | undefined;
  /** A disk of the machine considers the priority of a process. Absent: none does. */
  hasDiskPriority?(): boolean;
  /** Returns why a file cannot be executed as the command of `on_end`. Absent: that is not checked. */
  findHookFault?(file: string): string | undefined;
}

export function thisMachine(): Machine {
  return {
    findDisk: findWholeDisk,
    programs: new InstalledPrograms(realHost()),
    cpus: readOnlineCpus,
    users: () => readNames(USERS_FILE),
    groups: () => readNames(GROUPS_FILE),
    hasDiskPriority,
  };
}
