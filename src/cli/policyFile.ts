import { existsSync } from "node:fs";
import { Refusal } from "../govern/refusal.ts";
import { faultText, type PolicyFault } from "../policy/file/fault.ts";
import type { LoadedFile } from "../policy/file/loadPolicyFile.ts";
import type { Policy } from "../policy/policy.ts";
import { warn } from "./render/messages.ts";

const USUAL_POLICY_PATH = "/etc/ffrtmp/policy.yaml";

/** The policy file that was named, or the usual one where it is there. */
function policyPath(named: string | undefined): string | undefined {
  return named ?? (existsSync(USUAL_POLICY_PATH) ? USUAL_POLICY_PATH : undefined);
}

/** The same, for commands that are of no use without one. */
export function requirePolicyPath(named: string | undefined): string {
  const path = policyPath(named);
  if (path !== undefined && path !== "") return path;
  throw new Refusal(`no policy file was named, and ${USUAL_POLICY_PATH} does not exist`, "name one");
}

/** A file's policy, its warnings said. Throws Refusal with every fault when it cannot be used. */
export async function requirePolicy(path: string): Promise<Policy> {
  const { loadPolicyFile } = await import("../policy/file/loadPolicyFile.ts");
  const loaded = loadPolicyFile(path);
  if ("policy" in loaded) {
    for (const warning of loaded.warnings) warn(`${faultText(path, warning)}; perhaps: ${warning.right}`);
    return loaded.policy;
  }
  throw new Refusal(
    `${path} is no policy: ${faultLines(path, loaded).join("; ")}`,
    `ffrtmp policy check ${path}`,
  );
}

/** One line for each thing that keeps a file from being a policy. */
function faultLines(path: string, loaded: Exclude<LoadedFile, { policy: Policy }>): string[] {
  if ("unreadable" in loaded) return [loaded.unreadable];
  return loaded.faults.map((fault) => faultText(path, fault));
}

export function faultJson({ line, column, key, text, message, right }: PolicyFault): Record<string, unknown> {
  return { line, column, key, text, message, right };
}
