import { existsSync } from "node:fs";
import type { PolicyReading } from "../../daemon/policyStore.ts";
import { Refusal } from "../../jobs/errors.ts";
import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import type { Policy } from "../../policy/policy.ts";
import { warn } from "../output/messages.ts";

const USUAL_POLICY_PATH = "/etc/ffrtmp/policy.yaml";

/** The usual file, where it is there. */
export function usualPolicyPath(): string | undefined {
  return existsSync(USUAL_POLICY_PATH) ? USUAL_POLICY_PATH : undefined;
}

/** The policy file that was named, or the usual one, for commands that are of no use without one. */
export function requirePolicyPath(named: string | undefined): string {
  const path = named ?? usualPolicyPath();
  if (path !== undefined && path !== "") return path;
  throw new Refusal(`no policy file was named, and ${USUAL_POLICY_PATH} does not exist`, "name one");
}

/** Reads a policy file each time it is called. The parser is loaded only here: no other command should wait for it. */
export async function policyReader(path: string): Promise<() => PolicyReading> {
  const { loadPolicyFile } = await import("../../policy/file/loadPolicyFile.ts");
  return () => {
    const loaded = loadPolicyFile(path);
    if ("unreadable" in loaded) return { faults: [`${path} ${loaded.unreadable}`] };
    if ("faults" in loaded) return { faults: loaded.faults.map((fault) => faultText(path, fault)) };
    const warnings = loaded.warnings.map((each) => `${faultText(path, each)}; perhaps: ${each.right}`);
    return { policy: loaded.policy, warnings };
  };
}

/** Throws a Refusal that names every fault of a file which cannot be used. */
export function requireValid(
  path: string,
  reading: PolicyReading,
): asserts reading is Extract<PolicyReading, { policy: Policy }> {
  if ("policy" in reading) return;
  throw new Refusal(`no policy to go by: ${reading.faults.join("; ")}`, `ffrtmp policy check ${path}`);
}

/** A file's policy, its warnings said. */
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
