import type { Limits } from "../limits/limits.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { Condition } from "./conditions.ts";
import type { NamePattern } from "./namePattern.ts";
import type { TenantTemplate } from "./tenant.ts";

/** Who may use what, as compiled from a policy file or from the options of `watch`. Immutable. */
export interface Policy {
  /** Where it was read; `undefined` when it comes from the command line. */
  path: string | undefined;
  /** ms; `undefined` when the file leaves it to the command line. */
  scanIntervalMs: number | undefined;
  /** Commands that are governed when no rule says otherwise, and that rules without a command speak of. */
  targets: readonly NamePattern[];
  /** The same as a condition. */
  isTarget: Condition;
  /** The first one that matches decides. */
  rules: readonly Rule[];
  /** How many conditions stand in several rules. */
  sharedConditions: number;
  defaults: LimitLayer;
  /** Overrides of single commands. */
  commands: readonly CommandEntry[];
  /** All must hold, whichever rule matches. */
  filters: readonly Condition[];
  /** What all jobs of a tenant may use together, by tenant. */
  tenants: ReadonlyMap<string, Limits>;
  /** The total of each tenant that is not in `tenants`. */
  otherTenants: Limits | undefined;
}

export interface Rule {
  name: string;
  /** All must hold; in the order in which they are asked. */
  conditions: readonly Condition[];
  /** What the command is recognised by; empty where the rule names executables instead. */
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
  /** Those of the policy with the command's own in their place; `undefined` when it has none of its own. */
  filters: readonly Condition[] | undefined;
}

/** What one place of the policy says about limits; a more special place overrides a more general one limit by limit. */
export interface LimitLayer {
  set: Limits;
  /** Limits that are `max` here: what a more general place says does not hold. */
  lifted: readonly (keyof Limits)[];
}

/** The commands that `watch` governs when the operator names none. */
export const DEFAULT_TARGETS: readonly string[] = ["ffmpeg", "gst-launch-1.0"];

export const NO_LIMITS: LimitLayer = { set: {}, lifted: [] };

/** The total of a tenant's jobs; `undefined` when nothing holds them together. */
export function totalOf(policy: Policy, tenant: string): Limits | undefined {
  return policy.tenants.get(tenant) ?? policy.otherTenants;
}

/** The limits of several places, the most special one last. */
export function mergeLayers(layers: readonly LimitLayer[]): Limits {
  const limits: Limits = {};
  for (const { set, lifted } of layers) {
    for (const name of lifted) delete limits[name];
    Object.assign(limits, set);
  }
  return limits;
}
