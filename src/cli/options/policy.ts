import { existsSync } from "node:fs";
import { type PolicyReading, PolicyStore } from "../../daemon/policyStore.ts";
import { Refusal } from "../../jobs/errors.ts";
import type { LimitLayer } from "../../limits/limits.ts";
import { faultText } from "../../policy/file/fault.ts";
import { DEFAULT_TARGETS, overrideByFlags, type Policy, policyFromFlags } from "../../policy/policy.ts";
import { warn } from "../output/messages.ts";

export interface PolicyFlags {
  watchConfig?: string;
  target?: string[];
}

const DEFAULT_POLICY_PATH = "/etc/ffrtmp/policy.yaml";

function defaultPolicyPath(): string | undefined {
  return existsSync(DEFAULT_POLICY_PATH) ? DEFAULT_POLICY_PATH : undefined;
}

/** Returns the given path, or that of the default policy file. Throws a Refusal where there is neither. */
export function requirePolicyPath(given: string | undefined): string {
  const path = given ?? defaultPolicyPath();
  if (path) return path;
  const none = `no policy file given, and ${DEFAULT_POLICY_PATH} does not exist`;
  throw new Refusal(none, "give the path of a policy file");
}

/**
 * Opens the policy of `watch`. In the policy of a file, `--target` and limit options replace the target
 * commands and the default limits. Without a file, the options are the whole policy. The default file is read
 * only if no option names a file, a target or a limit. Throws a Refusal with all errors of the file.
 */
export async function openPolicy(
  { watchConfig, target }: PolicyFlags,
  limits: LimitLayer,
): Promise<PolicyStore> {
  const hasOverrides = target !== undefined || Object.keys(limits).length > 0;
  const path = watchConfig ?? (hasOverrides ? undefined : defaultPolicyPath());
  const warnings = target === undefined ? [] : await warningsAboutTargets(target);
  if (path !== undefined)
    return openFile(path, (policy) => overrideByFlags(policy, target, limits), warnings);
  const policy = policyFromFlags(target ?? DEFAULT_TARGETS, limits);
  return new PolicyStore(policy, undefined, () => ({ policy, warnings }), warnings);
}

async function warningsAboutTargets(targets: readonly string[]): Promise<string[]> {
  const [{ mistakeInCommand }, { thisMachine }] = await Promise.all([
    import("../../policy/file/mistakes.ts"),
    import("../../policy/file/machine.ts"),
  ]);
  const { programs } = thisMachine();
  return targets.flatMap((target) => {
    const mistake = mistakeInCommand(target, programs);
    return mistake === undefined ? [] : `--target ${target} ${mistake[0]}; perhaps: ${mistake[1]}`;
  });
}

/** Reads a policy file and prints its warnings. Throws a Refusal with all errors of the file. */
export async function requirePolicy(path: string): Promise<Policy> {
  const { policy, warnings } = await openFile(path, (unchanged) => unchanged);
  for (const warning of warnings) warn(warning);
  return policy;
}

async function openFile(
  path: string,
  override: (policy: Policy) => Policy,
  ofOptions: readonly string[] = [],
): Promise<PolicyStore> {
  // Other commands do without the parser and start faster.
  const { loadPolicyFile } = await import("../../policy/file/loadPolicy.ts");
  const load = (): PolicyReading => {
    const loaded = loadPolicyFile(path);
    if ("unreadable" in loaded) return { faults: [`${path} ${loaded.unreadable}`] };
    if ("faults" in loaded) return { faults: loaded.faults.map((fault) => faultText(path, fault)) };
    const warnings = loaded.warnings.map((each) => `${faultText(path, each)}; perhaps: ${each.right}`);
    return { policy: override(loaded.policy), warnings: [...ofOptions, ...warnings] };
  };
  const first = load();
  if ("policy" in first) return new PolicyStore(first.policy, path, load, first.warnings);
  throw new Refusal(`cannot use the policy: ${first.faults.join("; ")}`, `ffrtmp policy check ${path}`);
}
