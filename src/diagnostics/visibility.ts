import type { Context } from "../jobs/context.ts";
import { isOutsideInitialNamespace } from "../linux/namespaces.ts";
import { CAP_SYS_PTRACE, hasCapability } from "../linux/proc/capabilities.ts";
import type { Check } from "./check.ts";

type Seer = Pick<Context, "host" | "hierarchies">;

/** How much of the machine can be seen from here. A container shows its own part, unless it is given the rest. */
export function checkVisibility(seer: Seer): Check[] {
  return [probeProcesses(seer), probeCgroups(seer), probeFacts(seer)];
}

function probeProcesses({ host }: Seer): Check {
  const name = "processes in sight";
  if (!isOutsideInitialNamespace(host, "pid")) return { name, works: true, found: "all of the machine" };
  return {
    name,
    works: false,
    found: "only the processes of a pid namespace of its own, as containers have",
    cost: "nothing outside of it is found or governed; for that it takes --pid=host (in Kubernetes: hostPID: true)",
  };
}

function probeCgroups({ host, hierarchies }: Seer): Check {
  const name = "cgroups in sight";
  const cost =
    "processes elsewhere get no limits; for that it takes --cgroupns=host with the machine's /sys/fs/cgroup mounted (in Kubernetes: privileged: true)";
  if (isOutsideInitialNamespace(host, "cgroup")) {
    const found = "only the cgroups of a cgroup namespace of its own, as containers have";
    return { name, works: false, found, cost };
  }
  const partial = hierarchies.find(({ mountRoot }) => mountRoot !== "/");
  if (partial !== undefined) {
    const found = `at ${partial.mountPoint} only the cgroups below ${partial.mountRoot}`;
    return { name, works: false, found, cost };
  }
  return { name, works: true, found: "all of the machine" };
}

/** The kernel shows these facts of processes with other users, or with more rights than the reader has, to a tracer only. */
function probeFacts({ host }: Seer): Check {
  const name = "facts of others";
  if (hasCapability(host, CAP_SYS_PTRACE) && !isOutsideInitialNamespace(host, "user")) {
    return { name, works: true, found: "executables, working directories and environments can be read" };
  }
  return {
    name,
    works: false,
    found:
      "only names, arguments and users of processes with other users or more rights than this one has (no CAP_SYS_PTRACE)",
    cost: "rules on their executable, working directory or environment do not match",
  };
}
