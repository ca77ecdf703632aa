import { findContainers } from "./container.ts";

/** The labels that a job can have from its scheduler, in the order in which they are recorded. */
export const SCHEDULER_LABELS = [
  "scheduler",
  "slurm_job",
  "slurm_step",
  "condor_slot",
  "nomad_alloc",
  "nomad_task",
  "k8s_pod",
  "k8s_container",
  "systemd_unit",
  "systemd_user_unit",
] as const;

export type SchedulerLabel = (typeof SCHEDULER_LABELS)[number];
export type SchedulerLabels = Readonly<Partial<Record<SchedulerLabel, string>>>;

export type Scheduler = "slurm" | "htcondor" | "nomad" | "kubernetes" | "systemd" | "cron";

/** The label that identifies the work of a scheduler: the value by which its own commands know it. */
const IDENTITIES: Readonly<Record<Scheduler, readonly SchedulerLabel[]>> = {
  slurm: ["slurm_job"],
  htcondor: ["condor_slot"],
  nomad: ["nomad_alloc"],
  kubernetes: ["k8s_pod"],
  systemd: ["systemd_user_unit", "systemd_unit"],
  cron: ["systemd_unit"],
};

/** Returns the id of the work in its scheduler; `undefined` for a job without one. */
export function idInScheduler(labels: Readonly<Record<string, string>>): string | undefined {
  const { scheduler = "" } = labels;
  if (!Object.hasOwn(IDENTITIES, scheduler)) return undefined;
  const label = IDENTITIES[scheduler as Scheduler].find((name) => labels[name] !== undefined);
  return label && labels[label];
}

/** Labels that the name of one cgroup gives. */
export interface SchedulerCgroup {
  scheduler: Scheduler;
  labels: SchedulerLabels;
  /** The cgroup whose name decides whether the labels can be trusted. */
  cgroupPath: string;
}

/**
 * Reads the name at an index of a path. It copies the names above only for a name that can be its scheduler's: a user can make
 * cgroups below each other that are 2000 deep.
 */
type Reader = (parts: readonly string[], index: number) => Omit<SchedulerCgroup, "cgroupPath"> | undefined;

/**
 * Slurm. v1: https://slurm.schedmd.com/cgroup_v1.html, the directory is `slurm_NODE` where slurmd has a node name (-N).
 * v2: https://slurm.schedmd.com/cgroup_v2.html.
 */
// /slurm/uid_1000/job_17/step_0/task_0
// /system.slice/slurmstepd.scope/job_17/step_batch/user/task_0
const slurm: Reader = (parts, index) => {
  const [grandparent = "", parent = "", name = ""] = [parts[index - 2], parts[index - 1], parts[index]];
  const job = /^job_(\d+)$/;
  const isSlurm = (directory: string) => /^uid_\d+$/.test(directory) || SLURM_SCOPE.test(directory);
  const id = job.exec(name)?.[1];
  if (id !== undefined && isSlurm(parent)) return { scheduler: "slurm", labels: { slurm_job: id } };
  const step = /^step_([\w+]+)$/.exec(name)?.[1];
  if (step === undefined || !job.test(parent) || !isSlurm(grandparent)) return undefined;
  return { scheduler: "slurm", labels: { slurm_step: step } };
};

const SLURM_SCOPE = /^(?:.+_)?slurmstepd\.scope$/;

/**
 * HTCondor: below BASE_CGROUP, the execute directory with underscores and the slot. HTCondor manual, "Cgroup-Based Process
 * Tracking". BASE_CGROUP is a setting.
 */
// /htcondor/condor_var_lib_condor_execute_slot1_1@node
const htcondor: Reader = (parts, index) => {
  const slot = /^condor_.*_(slot\d+(?:_\d+)?(?:@[\w.-]+)?)$/.exec(parts[index] as string)?.[1];
  return slot === undefined ? undefined : { scheduler: "htcondor", labels: { condor_slot: slot } };
};

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const NOMAD_TASK = new RegExp(`^(${UUID})\\.(.+?)(\\.scope)?$`);

/**
 * Nomad 1.3 and later, of the drivers that Nomad makes the cgroups for (exec, raw_exec, java): client/lib/cgroupslib/editor.go
 * of github.com/hashicorp/nomad. A task of the docker driver is in a cgroup of Docker.
 */
// /nomad.slice/share.slice/d58f1c9e-….encode.scope
// v1: /nomad/d58f1c9e-….encode, in cpuset /nomad/share/d58f1c9e-….encode
const nomad: Reader = (parts, index) => {
  const [, alloc, task, scope] = NOMAD_TASK.exec(parts[index] as string) ?? [];
  if (alloc === undefined || task === undefined) return undefined;
  // The v1 name alone could be that of anything.
  if (scope === undefined && !parts.slice(0, index).includes("nomad")) return undefined;
  return { scheduler: "nomad", labels: { nomad_alloc: alloc, nomad_task: task } };
};

/** The uid of a static pod is a hash without dashes. The systemd driver replaces dashes, which separate slices. */
const POD = /^(?:.+-)?pod([0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:$|:)/;

/**
 * Kubernetes, both drivers: GetPodContainerName and cgroupName.ToSystemd of pkg/kubelet/cm in github.com/kubernetes/kubernetes,
 * https://kubernetes.io/docs/concepts/architecture/cgroups/. The container's directory is named by its runtime.
 */
// /kubepods/burstable/pod3e61c0de-…/9f2c…
// /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3e61c0de_….slice/cri-containerd-9f2c….scope
// containerd with the wrong driver: /system.slice/containerd.service/kubepods-burstable-pod3e61….slice:cri-containerd:9f2c…
const kubernetes: Reader = (parts, index) => {
  const name = parts[index] as string;
  const isPods = (directory: string) => directory.includes("kubepods");
  const uid = POD.exec(name)?.[1];
  if (uid !== undefined && parts.slice(0, index + 1).some(isPods)) {
    const container = /:([0-9a-f]{64})$/.exec(name)?.[1];
    const pod = { k8s_pod: uid.replaceAll("_", "-") };
    const labels = container === undefined ? pod : { ...pod, k8s_container: container };
    return { scheduler: "kubernetes", labels };
  }
  if (!POD.test(parts[index - 1] ?? "") || !parts.slice(0, index).some(isPods)) return undefined;
  const [container] = findContainers(name);
  return container && { scheduler: "kubernetes", labels: { k8s_container: container.name } };
};

const READERS: readonly Reader[] = [slurm, htcondor, nomad, kubernetes];

/** Returns what the names in a cgroup path say about the scheduler of a process, outermost first. */
export function findSchedulerCgroups(cgroupPath: string): SchedulerCgroup[] {
  const parts = cgroupPath.split("/");
  const found: SchedulerCgroup[] = [];
  let unit: string | undefined;
  let isInService = true;
  for (const [index, name] of parts.entries()) {
    const pathHere = () => parts.slice(0, index + 1).join("/");
    const read = READERS.map((reader) => reader(parts, index)).find((each) => each !== undefined);
    if (read) found.push({ ...read, cgroupPath: pathHere() });
    // Another systemd can run inside of a container, and scopes are no work of a scheduler.
    isInService &&= !read && !name.endsWith(".scope") && findContainers(name).length === 0;
    if (!isInService || !UNIT.test(name)) continue;
    if (unit === undefined) {
      unit = name;
      if (!USER_MANAGER.test(name))
        found.push({
          scheduler: CRON_UNITS.has(name) ? "cron" : "systemd",
          labels: { systemd_unit: name },
          cgroupPath: pathHere(),
        });
    } else if (USER_MANAGER.test(unit)) {
      // The user chooses the names of his units, which the label says. That they are his, the manager's name says.
      const managerPath = parts.slice(0, parts.indexOf(unit) + 1).join("/");
      found.push({ scheduler: "systemd", labels: { systemd_user_unit: name }, cgroupPath: managerPath });
      isInService = false;
    }
  }
  return found;
}

/** A service, with the characters of systemd.unit(5). */
const UNIT = /^[A-Za-z0-9:_.\\@-]+\.service$/;
const USER_MANAGER = /^user@\d+\.service$/;
/** Of Debian, Red Hat and Arch. */
const CRON_UNITS: ReadonlySet<string> = new Set(["cron.service", "crond.service", "cronie.service"]);
