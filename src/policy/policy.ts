import type { Retention } from "../ledger/retention.ts";
import { combineLayers, type LimitLayer, type Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { type Condition, commandIs } from "./conditions.ts";
import type { GovernorPolicy } from "./governor.ts";
import { exactName, type NamePattern } from "./namePattern.ts";
import type { WrittenPolicy } from "./policyChanges.ts";
import type { TenantTemplate } from "./tenant.ts";

/** A policy, compiled from a policy file or from the options of `watch`. Immutable. */
export interface Policy {
  /** The path of the file; `undefined` for a policy from the command line. */
  path?: string;
  /** ms; `undefined` when the file leaves it to the command line. */
  scanIntervalMs?: number | undefined;
  /** The limits of history; `undefined` where the file leaves one to the command line. */
  retention?: { [F in keyof Retention]: Retention[F] | undefined };
  /** The command to run after each recorded result. */
  onEnd?: EndHookCommand | undefined;
  /** Commands that are governed where no rule matches, and that rules without a command apply to. */
  targets: readonly NamePattern[];
  /** The target commands as a condition. */
  isTarget: Condition;
  /** The first rule that matches decides. */
  rules: readonly Rule[];
  defaults: LimitLayer;
  /** Limits and filters of single commands. */
  commands: readonly CommandEntry[];
  /** All must match, whichever rule has matched. */
  filters: readonly Condition[];
  /** The total limits of all jobs of a tenant, by tenant. */
  tenants: ReadonlyMap<string, Limits>;
  /** Intents have a meaning: the file has `intents`. Absent: an intent is any word. */
  hasIntents?: boolean;
  /** Absent: there is no governor. */
  governor?: GovernorPolicy | undefined;
  /** The total limits of each tenant that is not in `tenants`. */
  otherTenants?: Limits | undefined;
  /** On a node of a fleet, this file stays in force whatever policy the fleet has. Absent: it does not. */
  ignoresFleet?: boolean;
  /** The file as it is written, to show what a reload changes; absent for a policy from the command line. */
  written?: WrittenPolicy;
}

export interface EndHookCommand {
  /** Its words, the path of the executable first. No shell reads them. */
  command: readonly string[];
  /** When it is ended, if it still runs. */
  timeoutMs: number;
}

export interface Rule {
  name: string;
  /** All must match; in the order in which they are checked. */
  conditions: readonly Condition[];
  /** The names of the commands; empty for a rule that names executables instead. */
  commands: readonly NamePattern[];
  ignore: boolean;
  limits: LimitLayer;
  tenant?: TenantTemplate | undefined;
  labels: Readonly<Record<string, string>>;
  intent?: string | undefined;
  /** The limits that the intent stands for, which more specific ones override. */
  intentLimits?: LimitLayer | undefined;
  placement?: Placement | undefined;
}

export interface CommandEntry {
  name: NamePattern;
  limits: LimitLayer;
  /** The filters of the policy, overridden by those of the command; `undefined` when the command has none. */
  filters: readonly Condition[] | undefined;
}

/** The commands that `watch` governs when the operator names none. */
export const DEFAULT_TARGETS: readonly string[] = ["ffmpeg", "gst-launch-1.0"];

/** Returns the total limits of a tenant; `undefined` when it has none. */
export function totalOf(policy: Policy, tenant: string): Limits | undefined {
  return policy.tenants.get(tenant) ?? policy.otherTenants;
}

/** Returns the policy that the options of `watch` describe: the same limits for every target. */
export function policyFromFlags(targets: readonly string[], limits: LimitLayer): Policy {
  const patterns = targets.map(exactName);
  return {
    targets: patterns,
    isTarget: commandIs("target_commands", patterns),
    rules: [],
    defaults: limits,
    commands: [],
    filters: [],
    tenants: new Map(),
  };
}

/** Returns a policy with its target commands and default limits replaced by the options of `watch`. */
export function overrideByFlags(
  policy: Policy,
  targets: readonly string[] | undefined,
  limits: LimitLayer,
): Policy {
  const defaults = combineLayers(policy.defaults, limits);
  if (targets === undefined) return { ...policy, defaults };
  const given = policyFromFlags(targets, limits);
  // Rules that name no command apply to the targets.
  const rules = policy.rules.map((rule) => ({
    ...rule,
    commands: rule.commands === policy.targets ? given.targets : rule.commands,
    conditions: rule.conditions.map((each) => (each === policy.isTarget ? given.isTarget : each)),
  }));
  return { ...policy, targets: given.targets, isTarget: given.isTarget, rules, defaults };
}
