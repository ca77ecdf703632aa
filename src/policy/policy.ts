import type { Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { Condition } from "./conditions.ts";
import type { NamePattern } from "./namePattern.ts";
import type { TenantTemplate } from "./tenant.ts";

/** A policy, compiled from a file or from the options of `watch`. Immutable. */
export interface Policy {
  /** The file; `undefined` for a policy from the command line. */
  path: string | undefined;
  /** ms; `undefined` when the file leaves it to the command line. */
  scanIntervalMs: number | undefined;
  /** Commands that are governed when no rule matches, and that rules without a command apply to. */
  targets: readonly NamePattern[];
  /** The same as a condition. */
  isTarget: Condition;
  /** The first rule that matches decides. */
  rules: readonly Rule[];
  /** The number of conditions that several rules share. */
  sharedConditions: number;
  defaults: LimitLayer;
  /** Overrides of single commands. */
  commands: readonly CommandEntry[];
  /** All must be met, whichever rule matches. */
  filters: readonly Condition[];
  /** The total limits of all jobs of a tenant, by tenant. */
  tenants: ReadonlyMap<string, Limits>;
  /** The total of each tenant that is not in `tenants`. */
  otherTenants: Limits | undefined;
}

export interface Rule {
  name: string;
  /** All must be met; in the order in which they are checked. */
  conditions: readonly Condition[];
  /** Patterns of the command; empty where the rule names executables instead. */
  commands: readonly NamePattern[];
  ignore: boolean;
  limits: LimitLayer;
  tenant: TenantTemplate | undefined;
  labels: Readonly<Record<string, string>>;
  intent: string | undefined;
  placement: Placement | undefined;
}

export interface CommandEntry {
  name: NamePattern;
  limits: LimitLayer;
  /** The filters of the policy, replaced one by one by the command's own; `undefined` where the command has none. */
  filters: readonly Condition[] | undefined;
}

/** The limits of one section of the policy. A more specific section overrides a more general one, limit by limit. */
export interface LimitLayer {
  set: Limits;
  /** Limits that are `max` here, which cancels the limit of a more general section. */
  lifted: readonly (keyof Limits)[];
}

export const NO_LIMITS: LimitLayer = { set: {}, lifted: [] };

/** Returns the total limits of a tenant's jobs; `undefined` where the policy sets none. */
export function totalOf(policy: Policy, tenant: string): Limits | undefined {
  return policy.tenants.get(tenant) ?? policy.otherTenants;
}

/** Returns the limits of several sections, the most specific one last. */
export function mergeLayers(layers: readonly LimitLayer[]): Limits {
  const limits: Limits = {};
  for (const { set, lifted } of layers) {
    for (const name of lifted) delete limits[name];
    Object.assign(limits, set);
  }
  return limits;
}
