import type { Context } from "../jobs/context.ts";
import { isOutsideInitialNamespace } from "../linux/proc/namespaces.ts";
import { CAP_SYS_PTRACE, hasCapability } from "../linux/proc/status.ts";
import { type Check, fails, works } from "./check.ts";

type Machine = Pick<Context, "host" | "hierarchies">;

/** Checks which parts of the machine are visible. By default, a container shows only its own part. */
export function checkVisibility(machine: Machine): Check[] {
  return [checkProcesses(machine), checkCgroups(machine), checkFacts(machine)];
}

function checkProcesses({ host }: Machine): Check {
  const name = "visible processes";
  if (!isOutsideInitialNamespace(host, "pid")) return works(name, "all processes of the machine");
  return fails(
    name,
    "only the processes of a PID namespace, such as that of a container",
    "other processes are not found or governed; to include them, start the container with --pid=host (in Kubernetes: hostPID: true)",
  );
}

function checkCgroups({ host, hierarchies }: Machine): Check {
  const name = "visible cgroups";
  const cost =
    "processes in other cgroups get no limits; to include them, start the container with --cgroupns=host and the machine's /sys/fs/cgroup mounted (in Kubernetes: privileged: true)";
  if (isOutsideInitialNamespace(host, "cgroup"))
    return fails(name, "only the cgroups of a cgroup namespace, such as that of a container", cost);
  const partial = hierarchies.find(({ mountRoot }) => mountRoot !== "/");
  if (partial === undefined) return works(name, "all cgroups of the machine");
  return fails(name, `only the cgroups below ${partial.mountRoot}, at ${partial.mountPoint}`, cost);
}

/** Checks the facts that only tracers can read: of processes of other users or with more rights. */
function checkFacts({ host }: Machine): Check {
  const name = "facts of other users' processes";
  if (hasCapability(host, CAP_SYS_PTRACE) && !isOutsideInitialNamespace(host, "user"))
    return works(name, "executables, working directories and environments can be read");
  return fails(
    name,
    "only names, arguments and users of processes of other users or with more rights (CAP_SYS_PTRACE is missing)",
    "rules on their executable, working directory or environment do not match",
  );
}
