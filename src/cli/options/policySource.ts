import { type PolicyReading, PolicyStore } from "../../daemon/policyStore.ts";
import type { Limits } from "../../limits/limits.ts";
import { DEFAULT_TARGETS } from "../../policy/policy.ts";
import { overrideByFlags, policyFromFlags } from "../../policy/policyFromFlags.ts";
import { policyReader, requireValid, usualPolicyPath } from "./policyFile.ts";

export interface PolicyFlags {
  watchConfig?: string;
  target?: string[];
}

/**
 * The policy that the options of `watch` ask for: that of a file, in which `--target` and limits replace the target
 * commands and the default limits; without a file, all of it from the options. The usual file is read only where the
 * options say nothing. Throws a Refusal that names every fault of the file.
 */
export async function openPolicy({ watchConfig, target }: PolicyFlags, limits: Limits): Promise<PolicyStore> {
  const saysNothing = target === undefined && Object.keys(limits).length === 0;
  const path = watchConfig ?? (saysNothing ? usualPolicyPath() : undefined);
  if (path === undefined) {
    const policy = policyFromFlags(target ?? DEFAULT_TARGETS, limits);
    return new PolicyStore(policy, undefined, () => ({ policy, warnings: [] }));
  }
  const read = await policyReader(path);
  const load = (): PolicyReading => {
    const reading = read();
    if ("faults" in reading) return reading;
    return { ...reading, policy: overrideByFlags(reading.policy, target, limits) };
  };
  const first = load();
  requireValid(path, first);
  return new PolicyStore(first.policy, path, load, first.warnings);
}
