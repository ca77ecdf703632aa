import { basename } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import type { JobResult } from "../../jobs/model/ending.ts";
import type { Job } from "../../jobs/model/job.ts";
import { JOB_OUTCOMES, outcomeOf } from "../../jobs/model/outcome.ts";
import { uidOf } from "../../json/userNames.ts";
import { ValueFault } from "../../limits/units.ts";
import { compilePattern } from "../../policy/pattern.ts";

/** A job, with its result where it has ended. */
export interface RecordedJob {
  job: Job;
  result?: JobResult;
}

/** One condition of `--filter`. A job is listed when all of them match. */
export interface JobFilter {
  /** Only jobs that have ended can match. */
  isOfEnded: boolean;
  matches(recorded: RecordedJob): boolean;
}

const STATES: readonly Job["state"][] = ["starting", "running", "ended"];
const MODES: readonly Job["mode"][] = ["run", "attach", "watch"];

const KEYS: Record<string, (value: string) => JobFilter["matches"]> = {
  state: (value) => oneOf(STATES, value, ({ job }) => job.state),
  tenant:
    (value) =>
    ({ job }) =>
      (job.tenant ?? "") === value,
  user(value) {
    const uid = /^\d+$/.test(value) ? Number(value) : uidOf(value);
    if (uid === undefined)
      throw new ValueFault("is no user of /etc/passwd. Expected: a name from there, or a uid");
    return ({ job }) => job.uid === uid;
  },
  mode: (value) => oneOf(MODES, value, ({ job }) => job.mode),
  command(value) {
    const pattern = compilePattern(value);
    return ({ job: { command } }) => {
      const [first = ""] = command;
      return [basename(first), first, command.join(" ")].some((text) => pattern.matches(text));
    };
  },
  label(value) {
    const at = value.indexOf("=");
    if (at < 0) throw new ValueFault("has no value. Expected: a name and a value, such as slurm_job=17");
    const [name, pattern] = [value.slice(0, at), compilePattern(value.slice(at + 1))];
    return ({ job: { labels } }) => {
      const label = Object.hasOwn(labels, name) ? labels[name] : undefined;
      return label !== undefined && pattern.matches(label);
    };
  },
  outcome: (value) => oneOf(JOB_OUTCOMES, value, ({ result }) => result && outcomeOf(result.ending)),
};

/** Parses `key=value`. Throws a Refusal with the accepted keys or values. */
export function parseJobFilter(text: string): JobFilter {
  const at = text.indexOf("=");
  const key = at < 0 ? text : text.slice(0, at);
  const value = text.slice(at + 1);
  const compile = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  if (!compile) {
    const keys = Object.keys(KEYS).join(", ");
    throw new Refusal(`invalid --filter ${text}: there is no key ${JSON.stringify(key)}. Expected: ${keys}`);
  }
  if (at < 0) throw new Refusal(`invalid --filter ${text}: it has no value. Expected: ${key}=VALUE`);
  try {
    const isOfEnded = key === "outcome" || (key === "state" && value === "ended");
    return { isOfEnded, matches: compile(value) };
  } catch (error) {
    if (!(error instanceof ValueFault)) throw error;
    throw new Refusal(`invalid --filter ${text}: ${JSON.stringify(value)} ${error.message}`);
  }
}

function oneOf(
  accepted: readonly string[],
  value: string,
  fieldOf: (recorded: RecordedJob) => string | undefined,
): JobFilter["matches"] {
  if (!accepted.includes(value)) throw new ValueFault(`is none of: ${accepted.join(", ")}`);
  return (recorded) => fieldOf(recorded) === value;
}
