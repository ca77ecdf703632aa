import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import { loadPolicyFile } from "../../policy/file/loadPolicy.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { requirePolicyPath } from "../options/policy.ts";
import { printFaults } from "../output/faults.ts";
import { printErr, printError, printJson, printOut, warn } from "../output/messages.ts";

const INVALID = 2;

/** Returns exit code 0 for a valid file, 2 for one that cannot be used, or that has warnings under `strict`. */
export function checkPolicy(file: string | undefined, flags: { json?: boolean; strict?: boolean }): number {
  const path = requirePolicyPath(file);
  const loaded = loadPolicyFile(path);
  const isValid = "policy" in loaded;
  const faults = "faults" in loaded ? loaded.faults : [];
  const warnings = isValid ? loaded.warnings : [];
  const exitCode = isValid && !(flags.strict && warnings.length > 0) ? 0 : INVALID;
  if (flags.json) {
    printJson({
      path,
      valid: isValid,
      unreadable: "unreadable" in loaded ? loaded.unreadable : null,
      faults: faults.map(faultJson),
      warnings: warnings.map(faultJson),
    });
    return exitCode;
  }
  if ("unreadable" in loaded) printError(`cannot check the policy: ${path} ${loaded.unreadable}`);
  if ("faults" in loaded) printError(`${path} cannot be used: ${countOf(faults.length, "error")}`);
  printFaults(path, faults);
  if (!isValid) return exitCode;
  for (const warning of warnings) {
    warn(faultText(path, warning));
    printErr(`    perhaps: ${oneLine(warning.right)}`);
  }
  const { rules, tenants } = loaded.policy;
  const counts = [countOf(rules.length, "rule"), countOf(tenants.size, "tenant")];
  if (warnings.length > 0) counts.push(countOf(warnings.length, "warning"));
  printOut(`${oneLine(path)} is valid: ${counts.join(", ")}`);
  return exitCode;
}

function faultJson({ line, column, key, text, message, right }: PolicyFault): Record<string, unknown> {
  return { line, column, key, text, message, right };
}

function countOf(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
