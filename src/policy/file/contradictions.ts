import { LIMITS } from "../../limits/table.ts";
import { faultInTenant } from "../tenant.ts";
import type { PolicyFault } from "./fault.ts";
import type { Path, Source } from "./source.ts";

/**
 * Finds values that are valid one by one and contradict each other. Reads the file's text instead of the compiled
 * policy, so that these faults are reported together with all others.
 */
export function findContradictions(source: Source): PolicyFault[] {
  const root = mapping(source.value);
  const faults: PolicyFault[] = [];
  const checkLimits = (limits: unknown, path: Path): void => {
    const given = mapping(limits);
    for (const { keys } of Object.values(LIMITS)) {
      const [first, ...others] = Object.keys(keys).filter((key) => (given[key] ?? null) !== null);
      for (const key of others) {
        faults.push(source.fault([...path, key], "key", `sets the same limit as ${first}`, "one of the two"));
      }
    }
  };
  checkLimits(root["default_limits"], ["default_limits"]);
  for (const [name, command] of Object.entries(mapping(root["commands"]))) {
    checkLimits(mapping(command)["limits"], ["commands", name, "limits"]);
    if (name !== "" && !name.includes("/")) continue;
    const right = "the name of a command without its directory, such as ffmpeg";
    faults.push(source.fault(["commands", name], "key", "is not the name of a command", right));
  }
  for (const [name, totals] of Object.entries(mapping(root["tenants"]))) {
    checkLimits(totals, ["tenants", name]);
    const because = faultInTenant(name);
    if (because === undefined) continue;
    faults.push(
      source.fault(
        ["tenants", name],
        "key",
        `is not the name of a tenant: ${because}`,
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
      const message = `is also the name of rules[${earlier}]`;
      faults.push(source.fault([...path, "name"], "value", message, "another name"));
    }
    if (earlier === undefined) names.set(name, index);
    if (rule["ignore"] !== true) continue;
    for (const key of ["limits", "tenant", "labels", "intent", "placement"]) {
      if (rule[key] === undefined || rule[key] === null) continue;
      const message = "has no effect in a rule with ignore";
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
