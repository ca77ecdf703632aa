import type { Limits } from "../limits/limits.ts";
import { commandIs } from "./conditions.ts";
import { exactName } from "./namePattern.ts";
import type { Policy } from "./policy.ts";

/** Returns the policy that the options of `watch` describe: the same limits for every target. */
export function policyFromFlags(targets: readonly string[], limits: Limits): Policy {
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
  limits: Limits,
): Policy {
  const defaults = { ...policy.defaults, ...limits };
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
