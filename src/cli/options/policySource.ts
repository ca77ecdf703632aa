import { type PolicyReading, PolicyStore } from "../../daemon/policyStore.ts";
import type { Limits } from "../../limits/limits.ts";
import { DEFAULT_TARGETS, overrideByFlags, policyFromFlags } from "../../policy/policy.ts";
import { defaultPolicyPath, policyReader, requireValid } from "./policyFile.ts";

export interface PolicyFlags {
  watchConfig?: string;
  target?: string[];
}

/**
 * Opens the policy of `watch`. In the policy of a file, `--target` and limit options replace the target
 * commands and the default limits. Without a file, the options are the whole policy. The default file is read
 * only if no option names a file, a target or a limit. Throws a Refusal with all errors of the file.
 */
export async function openPolicy({ watchConfig, target }: PolicyFlags, limits: Limits): Promise<PolicyStore> {
  const hasOverrides = target !== undefined || Object.keys(limits).length > 0;
  const path = watchConfig ?? (hasOverrides ? undefined : defaultPolicyPath());
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
