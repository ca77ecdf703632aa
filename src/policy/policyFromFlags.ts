import type { Limits } from "../kernel/limits.ts";
import { commandIs } from "./conditions.ts";
import { exactName } from "./namePattern.ts";
import type { Policy } from "./policy.ts";

/** The policy that the options of `watch` amount to: the same limits for every target. */
export function policyFromFlags(targets: readonly string[], limits: Limits): Policy {
  const patterns = targets.map(exactName);
  return {
    path: undefined,
    scanIntervalMs: undefined,
    targets: patterns,
    isTarget: commandIs("target_commands", patterns),
    rules: [],
    defaults: { set: limits, lifted: [] },
    commands: [],
    filters: [],
    tenants: new Map(),
    otherTenants: undefined,
  };
}
