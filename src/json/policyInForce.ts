import { isoTime, limitJson } from "../jobs/json.ts";
import type { Job } from "../jobs/model/job.ts";
import { maskText, maskVariable, shownCommand } from "../jobs/model/secrets.ts";
import { formatChange } from "../limits/limits.ts";
import { isInForce } from "../limits/outcome.ts";
import { LIMIT_NAMES } from "../limits/table.ts";
import type { Policy } from "../policy/policy.ts";
import type { PolicyInForceJson } from "./apiSchemas.ts";

/** A list of commands has any length, and a client any number of refused limits. */
const MAX_VALUE_LENGTH = 2000;
const MAX_SECTIONS = 1000;
const MAX_REFUSED = 500;

/** The policy of a daemon, and what became of it. */
export interface PolicyParts {
  readonly policy: Policy;
  /** `null`: from the command line. */
  readonly path: string | null;
  readonly loadedMs: number;
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
  readonly scanIntervalMs: number;
  /** The running jobs. */
  readonly jobs: readonly Job[];
}

export function policyInForceJson(parts: PolicyParts): PolicyInForceJson {
  const { policy, path, loadedMs, faults, warnings, scanIntervalMs, jobs } = parts;
  const refused = jobs.flatMap(({ jobId, outcomes }) =>
    outcomes.filter((each) => !isInForce(each)).map((each) => ({ job_id: jobId, ...limitJson(each) })),
  );
  return {
    path,
    loaded_at: isoTime(loadedMs),
    is_valid: faults.length === 0,
    faults: faults.slice(0, MAX_SECTIONS).map(shown),
    warnings: warnings.slice(0, MAX_SECTIONS).map(shown),
    scan_interval_seconds: scanIntervalMs / 1000,
    target_commands: policy.targets.map(({ text }) => text),
    default_limits: LIMIT_NAMES.flatMap((limit) => {
      const wanted = formatChange(policy.defaults, limit);
      return wanted === undefined ? [] : [{ limit, wanted }];
    }),
    settings: settingsOf(policy, ""),
    rules: sectionsOf(policy, "rule"),
    commands: sectionsOf(policy, "command"),
    tenants: sectionsOf(policy, "tenant"),
    limits_refused: refused.slice(0, MAX_REFUSED),
    limits_refused_count: refused.length,
  };
}

function sectionsOf(policy: Policy, kind: "rule" | "command" | "tenant") {
  const names = [...(policy.written?.keys() ?? [])].filter((name) => name.startsWith(`${kind} `));
  return names.slice(0, MAX_SECTIONS).map((name) => ({
    name: name.slice(kind.length + 1),
    settings: settingsOf(policy, name),
  }));
}

function settingsOf({ written, onEnd }: Policy, section: string): Record<string, string> {
  const values = [...(written?.get(section) ?? [])].map(([key, value]) => [key, valueText(key, value)]);
  // Only the words by themselves show which of them is a secret.
  const hook = section === "" && onEnd !== undefined ? { on_end: wordsText(onEnd.command) } : {};
  return { ...Object.fromEntries(values), ...hook };
}

/** A pattern of arguments or of a variable can contain a stream key. `env.API_TOKEN` is the name of a variable. */
function valueText(key: string, value: string): string {
  return shorten(maskVariable(lastPartOf(key), value.slice(0, 2 * MAX_VALUE_LENGTH)));
}

function lastPartOf(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

function wordsText(words: readonly string[]): string {
  return shorten(shownCommand({ command: words, cwd: null }).command.join(" "));
}

function shown(text: string): string {
  return shorten(maskText(text.slice(0, 2 * MAX_VALUE_LENGTH)));
}

function shorten(text: string): string {
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}…`;
}
