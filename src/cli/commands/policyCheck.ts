import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import { loadPolicyFile } from "../../policy/file/loadPolicy.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { requirePolicyPath } from "../options/policy.ts";
import { printErr, printError, printJson, printOut, warn } from "../output/messages.ts";

const INVALID = 2;

/** Returns exit code 0 for a valid file, 2 for one that cannot be used. */
export function checkPolicy(file: string | undefined, flags: { json?: boolean }): number {
  const path = requirePolicyPath(file);
  const loaded = loadPolicyFile(path);
  const isValid = "policy" in loaded;
  const faults = "faults" in loaded ? loaded.faults : [];
  const warnings = isValid ? loaded.warnings : [];
  if (flags.json) {
    printJson({
      path,
      valid: isValid,
      unreadable: "unreadable" in loaded ? loaded.unreadable : null,
      faults: faults.map(faultJson),
      warnings: warnings.map(faultJson),
    });
    return isValid ? 0 : INVALID;
  }
  if ("unreadable" in loaded) printError(`${path} ${loaded.unreadable}`);
  if ("faults" in loaded) printError(`${path} cannot be used: ${countOf(faults.length, "error")}`);
  for (const fault of faults) {
    printErr(oneLine(faultText(path, fault)));
    printErr(`    expected: ${oneLine(fault.right)}`);
  }
  if (!isValid) return INVALID;
  for (const warning of warnings) {
    warn(faultText(path, warning));
    printErr(`    perhaps: ${oneLine(warning.right)}`);
  }
  const { rules, tenants } = loaded.policy;
  printOut(`${oneLine(path)} is valid: ${countOf(rules.length, "rule")}, ${countOf(tenants.size, "tenant")}`);
  return 0;
}

function faultJson({ line, column, key, text, message, right }: PolicyFault): Record<string, unknown> {
  return { line, column, key, text, message, right };
}

function countOf(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
