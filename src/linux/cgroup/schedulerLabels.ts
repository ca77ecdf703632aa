import type { Host } from "../host.ts";
import {
  findSchedulerCgroups,
  SCHEDULER_LABELS,
  type Scheduler,
  type SchedulerCgroup,
  type SchedulerLabel,
  type SchedulerLabels,
} from "../proc/schedulers.ts";
import type { Hierarchy, Membership } from "./hierarchies.ts";
import { isNamedByUs } from "./trust.ts";

/**
 * Returns the labels that the cgroups of a process give: its scheduler, and what it is there. The name of a cgroup that another
 * user has chosen gives none. Empty without a scheduler.
 */
export function schedulerLabels(
  { cgroupFs }: Pick<Host, "cgroupFs">,
  hierarchies: readonly Hierarchy[],
  membership: Membership,
): SchedulerLabels {
  const found = [...membership].flatMap(([key, path]) => {
    const hierarchy = hierarchies.find((candidate) => candidate.key === key);
    const cgroups = findSchedulerCgroups(path);
    const isForged = ({ cgroupPath }: SchedulerCgroup) =>
      isNamedByUs(cgroupFs, hierarchy, cgroupPath) === false;
    const forged = cgroups.findIndex(isForged);
    // Below a name that is not root's, none is.
    return forged < 0 ? cgroups : cgroups.slice(0, forged);
  });
  if (found.length === 0) return {};
  // Sorted by depth, so that of nested ones the innermost counts.
  const all = Object.assign({}, ...found.toSorted(byDepth).map(({ labels }) => labels));
  return inOrder({ ...all, scheduler: startedBy(found) });
}

/**
 * Adds the labels from the environment of a job. Those of its cgroups count more: they are not inherited by what another scheduler
 * starts.
 */
export function withVariables(ofCgroups: SchedulerLabels, ofEnvironment: SchedulerLabels): SchedulerLabels {
  const { scheduler } = ofCgroups;
  // Slurm itself, for example, is a service of systemd, and not every Slurm makes cgroups.
  const isOuter = scheduler === undefined || isServiceManager(scheduler as Scheduler);
  return inOrder({
    ...ofEnvironment,
    ...ofCgroups,
    scheduler: (isOuter ? ofEnvironment.scheduler : undefined) ?? scheduler,
  });
}

/** Returns the innermost scheduler. On v1, one hierarchy can show a job, and another the service that its scheduler is. */
function startedBy(found: readonly SchedulerCgroup[]): Scheduler {
  const others = found.filter(({ scheduler }) => !isServiceManager(scheduler));
  const [innermost] = (others.length > 0 ? others : found).toSorted(byDepth).slice(-1);
  return (innermost as SchedulerCgroup).scheduler;
}

function isServiceManager(scheduler: Scheduler): boolean {
  return scheduler === "systemd" || scheduler === "cron";
}

function byDepth(a: SchedulerCgroup, b: SchedulerCgroup): number {
  return a.cgroupPath.split("/").length - b.cgroupPath.split("/").length;
}

/** Two readings of the same process must give the same text: labels are compared as they are recorded. */
function inOrder(labels: Partial<Record<SchedulerLabel, string | undefined>>): SchedulerLabels {
  return Object.fromEntries(
    SCHEDULER_LABELS.flatMap((label) => (labels[label] === undefined ? [] : [[label, labels[label]]])),
  );
}
