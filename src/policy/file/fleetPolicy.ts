import type { Policy } from "../policy.ts";
import type { PolicyFault } from "./fault.ts";
import { loadPolicy } from "./loadPolicy.ts";
import { type Machine, thisMachine } from "./machine.ts";
import type { Source } from "./source.ts";

/**
 * A policy that comes over the network, compiled, or its faults. `isForbidden`: it is valid as the file of a machine, and asks
 * for what no message may: it runs a command, deletes records, or reads more of a process than a rule needs.
 */
export type LoadedFleetPolicy =
  | { policy: Policy; warnings: PolicyFault[] }
  | { faults: PolicyFault[]; isForbidden: boolean };

/** The keys for limits and for the processes that they apply to. Every other key belongs to the machine's own policy. */
const ALLOWED = new Set([
  "scan_interval",
  "target_commands",
  "default_limits",
  "filters",
  "commands",
  "rules",
  "intents",
  "tenants",
]);

const WHY_NOT: Record<string, string> = {
  on_end: "runs a command",
  on_end_timeout: "is about a command",
  retention: "deletes records of jobs",
  fleet: "is for the file of a machine",
};

const LOCAL = "write it into /etc/ffrtmp/policy.yaml on the machine";

/** Knows nothing of any machine: a policy is checked for nodes that are not this one. */
export const ANY_MACHINE: Machine = {
  findDisk: (device) => ({ device }),
  programs: { has: () => true, list: () => [] },
  cpus: () => undefined,
  users: () => undefined,
  groups: () => undefined,
};

/** Compiles the text of a policy of a fleet. `name` names it in messages; only `machine` reads anything. */
export function loadFleetPolicy(
  text: string,
  name: string,
  machine: Machine = thisMachine(),
): LoadedFleetPolicy {
  // The commands of hooks are refused in any case, and their files may not even exist here.
  const { findHookFault: _, ...rest } = machine;
  const { source, ...loaded } = loadPolicy(text, name, rest);
  if ("faults" in loaded || source === undefined)
    return { faults: "faults" in loaded ? loaded.faults : [], isForbidden: false };
  const faults = forbiddenIn(source);
  return faults.length > 0 ? { faults, isForbidden: true } : loaded;
}

function forbiddenIn(source: Source): PolicyFault[] {
  const value = source.value as Record<string, unknown>;
  const faults = Object.keys(value)
    .filter((key) => !ALLOWED.has(key))
    .map((key) => {
      const message = `${WHY_NOT[key] ?? "reaches further than limits"}: a policy of a fleet cannot have it`;
      return source.fault([key], "key", message, LOCAL);
    });
  const rules = Array.isArray(value["rules"]) ? value["rules"] : [];
  for (const [index, rule] of rules.entries()) {
    const tenant: unknown = rule?.tenant;
    // Names of tenants are part of the results that the hub receives.
    if (typeof tenant !== "string" || !tenant.includes("{env:")) continue;
    const message = "would send the environment of processes to the hub: a policy of a fleet cannot have it";
    faults.push(source.fault(["rules", index, "tenant"], "value", message, LOCAL));
  }
  return faults;
}
