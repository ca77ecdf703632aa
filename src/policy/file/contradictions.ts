import { faultInTenant } from "../tenant.ts";
import type { PolicyFault } from "./fault.ts";
import type { Path, Source } from "./source.ts";

/**
 * Values that are each right and do not go together. Looks at what stands in the file rather than at what was
 * made of it, so that these faults are told together with all others.
 */
export function findContradictions(source: Source): PolicyFault[] {
  const root = mapping(source.value);
  const faults: PolicyFault[] = [];
  const checkLimits = (limits: unknown, path: Path): void => {
    const { cpu_quota, cpu_max } = mapping(limits);
    if (cpu_quota === undefined || cpu_quota === null || cpu_max === undefined || cpu_max === null) return;
    const message = "says the same as cpu_quota beside it, in another way";
    faults.push(source.fault([...path, "cpu_max"], "key", message, "one of the two"));
  };
  checkLimits(root["default_limits"], ["default_limits"]);
  for (const [name, command] of Object.entries(mapping(root["commands"]))) {
    checkLimits(mapping(command)["limits"], ["commands", name, "limits"]);
    if (name !== "" && !name.includes("/")) continue;
    const right = "the name of a command without its directory, such as ffmpeg";
    faults.push(source.fault(["commands", name], "key", "is no name of a command", right));
  }
  for (const [name, totals] of Object.entries(mapping(root["tenants"]))) {
    checkLimits(totals, ["tenants", name]);
    const because = faultInTenant(name);
    if (because === undefined) continue;
    faults.push(
      source.fault(
        ["tenants", name],
        "key",
        `is no name of a tenant: ${because}`,
        "a name, or * for all others",
      ),
    );
  }
  faults.push(...contradictionsOfRules(source, list(root["rules"]), checkLimits));
  return faults;
}

function contradictionsOfRules(
  source: Source,
  rules: readonly unknown[],
  checkLimits: (limits: unknown, path: Path) => void,
): PolicyFault[] {
  const faults: PolicyFault[] = [];
  const names = new Map<unknown, number>();
  for (const [index, item] of rules.entries()) {
    const rule = mapping(item);
    const path = ["rules", index];
    checkLimits(rule["limits"], [...path, "limits"]);
    const { name } = rule;
    const earlier = names.get(name);
    if (typeof name === "string" && earlier !== undefined) {
      const message = `is the name of rules[${earlier}] too`;
      faults.push(source.fault([...path, "name"], "value", message, "another name"));
    }
    if (earlier === undefined) names.set(name, index);
    if (rule["ignore"] !== true) continue;
    for (const key of ["limits", "tenant", "labels", "intent", "placement"]) {
      if (rule[key] === undefined || rule[key] === null) continue;
      const message = "is of no use in a rule that ignores";
      faults.push(source.fault([...path, key], "key", message, `either ignore or ${key}`));
    }
  }
  return faults;
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
