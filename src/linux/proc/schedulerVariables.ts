import { hasInvisible } from "../../sys/visibleText.ts";
import type { Scheduler, SchedulerLabel, SchedulerLabels } from "./schedulers.ts";

/**
 * The variables that schedulers give to their jobs, as far as no cgroup shows the same everywhere.
 * Slurm: sbatch(1) and srun(1), "OUTPUT ENVIRONMENT VARIABLES". A batch script has no step id.
 * Nomad: https://developer.hashicorp.com/nomad/docs/reference/runtime-environment-settings.
 * HTCondor: https://htcondor.readthedocs.io/en/latest/users-manual/env-of-job.html.
 */
const VARIABLES: readonly (readonly [variable: string, label: SchedulerLabel, scheduler: Scheduler])[] = [
  ["SLURM_JOB_ID", "slurm_job", "slurm"],
  ["SLURM_STEP_ID", "slurm_step", "slurm"],
  ["_CONDOR_SLOT", "condor_slot", "htcondor"],
  ["NOMAD_ALLOC_ID", "nomad_alloc", "nomad"],
  ["NOMAD_TASK_NAME", "nomad_task", "nomad"],
];

const MAX_VALUE_LENGTH = 128;

/** Returns the labels that the environment of a job gives. A value that is no word of one line is left out. */
export function labelsOfEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): SchedulerLabels {
  const labels: Partial<Record<SchedulerLabel, string>> = {};
  for (const [variable, label, scheduler] of VARIABLES) {
    const value = environment[variable];
    if (!value || value.length > MAX_VALUE_LENGTH || hasInvisible(value)) continue;
    labels.scheduler ??= scheduler;
    labels[label] = value;
  }
  return labels;
}
