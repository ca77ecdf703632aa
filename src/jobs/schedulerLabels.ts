import type { Membership } from "../linux/cgroup/hierarchies.ts";
import { schedulerLabels, withVariables } from "../linux/cgroup/schedulerLabels.ts";
import { labelsOfEnvironment } from "../linux/proc/schedulerVariables.ts";
import type { Context } from "./context.ts";
import type { JobSpec } from "./job.ts";

/**
 * Adds the labels of a process from its scheduler to what is asked for, which counts more. `environment` is that of the process
 * where it may be read: that of another process is read only for a policy that asks for variables.
 */
export function withSchedulerLabels<Spec extends Pick<JobSpec, "labels">>(
  { host, hierarchies }: Pick<Context, "host" | "hierarchies">,
  spec: Spec,
  membership: Membership,
  environment: NodeJS.ProcessEnv = {},
): Spec {
  const ofCgroups = schedulerLabels(host, hierarchies, membership);
  return {
    ...spec,
    labels: { ...withVariables(ofCgroups, labelsOfEnvironment(environment)), ...spec.labels },
  };
}
