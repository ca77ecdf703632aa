import type { Context } from "../jobs/context.ts";
import { isOutsideInitialNamespace } from "../linux/namespaces.ts";
import { CAP_SYS_PTRACE, hasCapability } from "../linux/proc/status.ts";
import type { Check } from "./check.ts";

type Machine = Pick<Context, "host" | "hierarchies">;

/** Checks which parts of the machine are visible. By default, a container shows only its own part. */
export function checkVisibility(machine: Machine): Check[] {
  return [probeProcesses(machine), probeCgroups(machine), probeFacts(machine)];
}

function probeProcesses({ host }: Machine): Check {
  const name = "visible processes";
  if (!isOutsideInitialNamespace(host, "pid"))
    return { name, works: true, found: "all processes of the machine" };
  return {
    name,
    works: false,
    found: "only the processes of a PID namespace, such as that of a container",
    cost: "other processes are not found or governed; to include them, start the container with --pid=host (in Kubernetes: hostPID: true)",
  };
}

function probeCgroups({ host, hierarchies }: Machine): Check {
  const name = "visible cgroups";
  const cost =
    "processes in other cgroups get no limits; to include them, start the container with --cgroupns=host and the machine's /sys/fs/cgroup mounted (in Kubernetes: privileged: true)";
  if (isOutsideInitialNamespace(host, "cgroup")) {
    const found = "only the cgroups of a cgroup namespace, such as that of a container";
    return { name, works: false, found, cost };
  }
  const partial = hierarchies.find(({ mountRoot }) => mountRoot !== "/");
  if (partial !== undefined) {
    const found = `only the cgroups below ${partial.mountRoot}, at ${partial.mountPoint}`;
    return { name, works: false, found, cost };
  }
  return { name, works: true, found: "all cgroups of the machine" };
}

/**
 * Checks whether the facts are visible that the kernel shows only to tracers, about processes of other users
 * or with more rights.
 */
function probeFacts({ host }: Machine): Check {
  const name = "facts of other users' processes";
  if (hasCapability(host, CAP_SYS_PTRACE) && !isOutsideInitialNamespace(host, "user")) {
    return { name, works: true, found: "executables, working directories and environments can be read" };
  }
  return {
    name,
    works: false,
    found:
      "only names, arguments and users of processes of other users or with more rights (CAP_SYS_PTRACE is missing)",
    cost: "rules on their executable, working directory or environment do not match",
  };
}
