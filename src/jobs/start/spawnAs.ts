import type { UserAccount } from "../../linux/proc/userAccount.ts";
import { variablesOf } from "../../linux/proc/userAccount.ts";
import { takeOnUser } from "../../sys/credentials.ts";
import { callersEnvironment } from "./runtimeFlags.ts";
import { spawnWorkload } from "./spawn.ts";

/** The attributes of a workload that differ from those of the process that starts it. */
export interface Identity {
  /** The user that the workload runs as; absent: that of this process. */
  readonly user?: UserAccount | undefined;
  /** Variables that are set for the workload alone. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

/**
 * Returns a function that starts a workload with another user and environment. The workload has the user's ids from its first
 * instruction; the runtime's own option for that would take its supplementary groups away.
 */
export function spawnAs({ user, variables }: Identity): typeof spawnWorkload {
  if (user === undefined && variables === undefined) return spawnWorkload;
  return (host, workload) => {
    const environment = {
      ...(callersEnvironment(host) ?? process.env),
      ...(user && variablesOf(user)),
      ...variables,
    };
    if (user === undefined) return spawnWorkload(host, { ...workload, environment });
    const { undo } = takeOnUser(user);
    try {
      return spawnWorkload(host, { ...workload, environment });
    } finally {
      undo();
    }
  };
}
