import { existsSync } from "node:fs";
import type { PolicyReading } from "../../daemon/policyStore.ts";
import { Refusal } from "../../jobs/errors.ts";
import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import type { Policy } from "../../policy/policy.ts";
import { warn } from "../output/messages.ts";

const DEFAULT_POLICY_PATH = "/etc/ffrtmp/policy.yaml";

/** Returns the path of the default policy file if it exists. */
export function defaultPolicyPath(): string | undefined {
  return existsSync(DEFAULT_POLICY_PATH) ? DEFAULT_POLICY_PATH : undefined;
}

/** Returns the given path, or that of the default policy file. Throws a Refusal where there is neither. */
export function requirePolicyPath(given: string | undefined): string {
  const path = given ?? defaultPolicyPath();
  if (path !== undefined && path !== "") return path;
  throw new Refusal(
    `no policy file given, and ${DEFAULT_POLICY_PATH} does not exist`,
    "give the path of a policy file",
  );
}

/** Returns a function that reads a policy file. Other commands do without the parser and start faster. */
export async function policyReader(path: string): Promise<() => PolicyReading> {
  const { loadPolicyFile } = await import("../../policy/file/loadPolicy.ts");
  return () => {
    const loaded = loadPolicyFile(path);
    if ("unreadable" in loaded) return { faults: [`${path} ${loaded.unreadable}`] };
    if ("faults" in loaded) return { faults: loaded.faults.map((fault) => faultText(path, fault)) };
    const warnings = loaded.warnings.map((each) => `${faultText(path, each)}; perhaps: ${each.right}`);
    return { policy: loaded.policy, warnings };
  };
}

/** Throws a Refusal with all errors of a file that cannot be used. */
export function requireValid(
  path: string,
  reading: PolicyReading,
): asserts reading is Extract<PolicyReading, { policy: Policy }> {
  if ("policy" in reading) return;
  throw new Refusal(`cannot use the policy: ${reading.faults.join("; ")}`, `ffrtmp policy check ${path}`);
}

/** Reads a policy file and prints its warnings. Throws a Refusal if the file cannot be used. */
export async function requirePolicy(path: string): Promise<Policy> {
  const read = await policyReader(path);
  const reading = read();
  requireValid(path, reading);
  for (const warning of reading.warnings) warn(warning);
  return reading.policy;
}

export function faultJson({ line, column, key, text, message, right }: PolicyFault): Record<string, unknown> {
  return { line, column, key, text, message, right };
}
