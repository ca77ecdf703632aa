import { type Command, InvalidArgumentError, Option } from "commander";
import { Refusal } from "../../jobs/errors.ts";
import type { JobSpec } from "../../jobs/job.ts";
import { faultInJobId } from "../../jobs/model/jobId.ts";
import { intentLimits, isIntent } from "../../limits/intents.ts";
import { type Limits, mergeLayers } from "../../limits/limits.ts";
import { PLACEMENTS, type Placement } from "../../linux/cgroup/placement.ts";
import { hasDiskPriority } from "../../linux/diskPriority.ts";
import { faultInTenant } from "../../policy/tenant.ts";
import { parseWord, WORD } from "../../policy/word.ts";
import { hasInvisible } from "../../sys/visibleText.ts";
import { addLimitOptions, limitLayerFrom, limitsFrom } from "./limitOptions.ts";
import { optionValue } from "./optionValue.ts";

const MAX_INTENT_LENGTH = 128;

export interface CommonFlags {
  statePath?: string;
  json?: boolean;
}

export interface JobFlags extends CommonFlags {
  jobId?: string;
  slaEligible?: boolean;
  intent?: string;
  tenant?: string;
  label?: Record<string, string>;
  placement?: Placement;
  once?: boolean;
}

/** Adds the options that `run` and `attach` share. */
export function addJobOptions(command: Command): Command {
  return addSpecOptions(command).option("--json", "print the result as JSON when the job ends");
}

/** Adds the options that describe a job. */
export function addSpecOptions(command: Command): Command {
  addLimitOptions(command)
    .option("--job-id <id>", "set the id of the job (default: generated)", parseJobId)
    .option("--sla-eligible", "count this job in SLA figures (see: ffrtmp history --sla)")
    .option(
      "--intent <word>",
      "record the purpose of the job; live, batch and best-effort also set its CPU share",
      parseIntent,
    )
    .option(
      "--tenant <name>",
      "record the tenant of the job; totals of tenants come from a policy",
      parseTenant,
    )
    .option("--label <name=value>", "record a label of the job; repeatable", parseLabel);
  return addStateOption(command);
}

/** Adds the option for a caller that tries to start a job again without knowing whether an earlier try has. */
export function addOnceOption(command: Command): Command {
  return command.option(
    "--once",
    "start nothing if a job has ever had this --job-id, or if the start cannot be recorded",
  );
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

/** Adds the option that runs a command on other machines. */
export function addOnOption(command: Command): Command {
  return command.option(
    "--on <machines>",
    "run this on other machines by ssh: names with commas, or @group of ~/.config/ffrtmp/hosts.yaml",
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
  return addStateOption(command).argument("<job>", "job id, or the PID of a process that the job governs");
}

/** Adds the argument and the option that name several running jobs. */
export function addJobsArgument(command: Command): Command {
  const argument = "job ids, PIDs of their processes, or quoted patterns of ids such as 'batch-*'";
  return addStateOption(command).argument("<job...>", argument);
}

export function jobSpecFromFlags(flags: JobFlags, jobId: string): JobSpec {
  if (flags.once && flags.jobId === undefined)
    throw new Refusal("--once needs a --job-id: a generated one is always new", "--once --job-id JOB");
  return {
    jobId: flags.jobId ?? jobId,
    limits: limitsOfJob(flags),
    intent: flags.intent ?? null,
    slaEligible: flags.slaEligible ?? false,
    // A total for all jobs of a tenant comes from a policy.
    tenant: flags.tenant === undefined ? null : { name: flags.tenant, limits: {} },
    labels: flags.label ?? {},
    ...(flags.placement === undefined ? {} : { placement: flags.placement }),
    ...(flags.once ? { once: true } : {}),
  };
}

/** An explicit limit overrides that of the intent. */
function limitsOfJob(flags: JobFlags): Limits {
  const { intent } = flags;
  if (!isIntent(intent)) return limitsFrom(flags);
  return mergeLayers(intentLimits(intent, hasDiskPriority()), limitLayerFrom(flags));
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

function parseTenant(text: string): string {
  const fault = faultInTenant(text);
  if (fault !== undefined) throw new InvalidArgumentError(`It is not the name of a tenant: ${fault}.`);
  return text;
}

/** Adds `name=value` to the labels that were given before. The last one of a name counts. */
export function parseLabel(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 0)
    throw new InvalidArgumentError("It has no =. Expected: a name, = and a value, such as channel=7.");
  const parse = (part: string, word: string) =>
    optionValue(`a ${part} that is ${WORD}`, (input) => parseWord(input))(word);
  return { ...earlier, [parse("name", text.slice(0, at))]: parse("value", text.slice(at + 1)) };
}
