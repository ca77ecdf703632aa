import { type Command, InvalidArgumentError, Option } from "commander";
import { faultInJobId, type JobSpec } from "../../jobs/job.ts";
import { PLACEMENTS, type Placement } from "../../linux/cgroup/placement.ts";
import { addLimitOptions, type LimitFlags, limitsFrom } from "./limitOptions.ts";

export interface StateFlags {
  statePath?: string;
}

export interface JobFlags extends LimitFlags, StateFlags {
  jobId?: string;
  slaEligible?: boolean;
  intent?: string;
  json?: boolean;
  placement?: Placement;
}

/** What `run` and `attach` share. */
export function addJobOptions(command: Command): Command {
  addLimitOptions(command)
    .option("--job-id <id>", "name of the job; made up when not given", parseJobId)
    .option("--sla-eligible", "count this job in SLA figures")
    .option("--intent <word>", "what the job is for, kept with its result")
    .option("--json", "print the result as JSON when the job ends");
  return addStateOption(command);
}

/** For processes that run already; what `run` starts has its place by birth. */
export function addPlacementOption(command: Command): Command {
  return command.addOption(
    new Option("--placement <where>", "in its own cgroup, nested below it, or a scope of its own (cgroup v2)")
      .choices(PLACEMENTS)
      .default("auto" satisfies Placement),
  );
}

export function addStateOption(command: Command): Command {
  return command.option(
    "--state-path <dir>",
    "state directory (default: FFRTMP_STATE, /var/lib/ffrtmp for root)",
  );
}

export function jobSpecFromFlags(flags: JobFlags, jobId: string): JobSpec {
  return {
    jobId: flags.jobId ?? jobId,
    limits: limitsFrom(flags),
    intent: flags.intent ?? null,
    slaEligible: flags.slaEligible ?? false,
    tenant: null,
    labels: {},
    ...(flags.placement === undefined ? {} : { placement: flags.placement }),
  };
}

function parseJobId(text: string): string {
  const fault = faultInJobId(text);
  if (fault !== undefined) throw new InvalidArgumentError(`As a job id it does not do: ${fault}.`);
  return text;
}
