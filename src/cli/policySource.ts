import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Refusal } from "../govern/refusal.ts";
import type { Limits } from "../kernel/limits.ts";
import type { PolicyFault } from "../policy/file/fault.ts";
import type { Policy } from "../policy/policy.ts";
import { policyFromFlags } from "../policy/policyFromFlags.ts";
import { USUAL_TARGETS } from "../policy/targets.ts";
import { PolicyKeeper, type PolicyReading } from "../watch/policyKeeper.ts";

/** Read when nobody names another one, and nobody says on the command line what to govern. */
const USUAL_PATH = "/etc/ffrtmp/policy.yaml";

export interface PolicyFlags {
  watchConfig?: string;
  target?: string[];
}

/**
 * The policy that the options ask for: that of a file, in which `--target` and limits replace the target commands and
 * the default limits; without a file, all of it from the options. Throws a Refusal that names every fault of the file.
 */
export async function openPolicy(
  { watchConfig, target }: PolicyFlags,
  limits: Limits,
): Promise<PolicyKeeper> {
  const saysWhat = target !== undefined || Object.keys(limits).length > 0;
  const path = watchConfig ?? (!saysWhat && existsSync(USUAL_PATH) ? USUAL_PATH : undefined);
  const fromFlags = policyFromFlags(target ?? USUAL_TARGETS, limits);
  if (path === undefined) {
    return new PolicyKeeper(fromFlags, undefined, () => ({ policy: fromFlags, warnings: [] }));
  }
  const read = await policyReader(path);
  const load = (): PolicyReading => {
    const reading = read();
    if ("faults" in reading) return reading;
    return {
      ...reading,
      policy: withFlags(reading.policy, target === undefined ? undefined : fromFlags, limits),
    };
  };
  const first = load();
  if ("faults" in first) {
    const [fault = "", ...others] = first.faults;
    const more = others.length === 0 ? "" : `; and ${others.length} more`;
    throw new Refusal(`the policy cannot be used: ${fault}${more}`, `ffrtmp policy check ${path}`);
  }
  return new PolicyKeeper(first.policy, path, load, first.warnings);
}

/** Reads a policy file each time it is called. The parser is loaded only here: no other command should wait for it. */
async function policyReader(path: string): Promise<() => PolicyReading> {
  const [{ loadPolicy }, { readPolicyFile }, { faultText }] = await Promise.all([
    import("../policy/file/loadPolicy.ts"),
    import("../policy/file/readPolicyFile.ts"),
    import("../policy/file/fault.ts"),
  ]);
  const describe = (fault: PolicyFault) => `${faultText(path, fault)}; right would be: ${fault.right}`;
  return () => {
    const read = readPolicyFile(path);
    if ("unreadable" in read) return { faults: [`${path} ${read.unreadable}`] };
    const loaded = loadPolicy(read.text, resolve(path));
    if ("faults" in loaded) return { faults: loaded.faults.map(describe) };
    return { policy: loaded.policy, warnings: loaded.warnings.map(describe) };
  };
}

function withFlags(policy: Policy, targets: Policy | undefined, limits: Limits): Policy {
  const { set, lifted } = policy.defaults;
  return {
    ...policy,
    ...(targets === undefined ? {} : { targets: targets.targets, isTarget: targets.isTarget }),
    defaults: { set: { ...set, ...limits }, lifted },
  };
}
