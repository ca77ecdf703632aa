import { type Command, InvalidArgumentError, Option } from "commander";
import { faultInJobId, type JobSpec } from "../../jobs/job.ts";
import { PLACEMENTS, type Placement } from "../../linux/cgroup/placement.ts";
import { hasInvisible } from "../../sys/visibleText.ts";
import { addLimitOptions, limitsFrom } from "./limitOptions.ts";

const MAX_INTENT_LENGTH = 128;

export interface CommonFlags {
  statePath?: string;
  json?: boolean;
}

export interface JobFlags extends CommonFlags {
  jobId?: string;
  slaEligible?: boolean;
  intent?: string;
  placement?: Placement;
}

/** Adds the options that `run` and `attach` share. */
export function addJobOptions(command: Command): Command {
  addLimitOptions(command)
    .option("--job-id <id>", "set the id of the job (default: generated)", parseJobId)
    .option("--sla-eligible", "count this job in SLA figures (see: ffrtmp history --sla)")
    .option("--intent <word>", "record the purpose of the job with its result", parseIntent)
    .option("--json", "print the result as JSON when the job ends");
  return addStateOption(command);
}

/** Adds the option for the cgroup of a running process. `run` starts its command in the job's cgroup. */
export function addPlacementOption(command: Command): Command {
  return command.addOption(
    new Option(
      "--placement <where>",
      "on cgroup v2, apply limits in the process's own cgroup, nested below it, or in a new scope",
    )
      .choices(PLACEMENTS)
      .default("auto" satisfies Placement),
  );
}

export function addStateOption(command: Command): Command {
  return command.option(
    "--state-path <dir>",
    "set the state directory (default: FFRTMP_STATE, /var/lib/ffrtmp for root)",
  );
}

/** Adds the options that select how times are shown in text. */
export function addTimeOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--time <form>",
        "show how long ago, or the local time (default: relative on a terminal, else absolute)",
      ).choices(["relative", "absolute"]),
    )
    .addOption(new Option("--utc", "show times in UTC").conflicts("time"));
}

/** Adds the argument and the option that name one recorded job. */
export function addJobArgument(command: Command): Command {
  return addStateOption(command).argument("<job>", "job id");
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

/** The same as in a policy, and empty for none. */
function parseIntent(text: string): string {
  if (text.length <= MAX_INTENT_LENGTH && !hasInvisible(text)) return text;
  throw new InvalidArgumentError(`It must be text of at most ${MAX_INTENT_LENGTH} characters on one line.`);
}

function parseJobId(text: string): string {
  const fault = faultInJobId(text);
  if (fault !== undefined) throw new InvalidArgumentError(`Invalid job id: ${fault}.`);
  return text;
}
