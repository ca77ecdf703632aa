import type { z } from "zod";
import type { PolicyFault } from "./fault.ts";
import type { FaultParams } from "./leaves.ts";
import { nearest } from "./nearest.ts";
import { knownKeys } from "./schemaKeys.ts";
import type { Source } from "./source.ts";

/** Describes what a schema does not accept in a YAML text, each fault with its place. */
export function faultsOfSchema(
  source: Source,
  schema: z.core.$ZodType,
  issues: readonly z.core.$ZodIssue[],
): PolicyFault[] {
  return issues.flatMap((issue) => faultsOf(source, schema, issue));
}

function faultsOf(source: Source, schema: z.core.$ZodType, issue: z.core.$ZodIssue): PolicyFault[] {
  const { code, path, message } = issue;
  if (code === "custom") {
    const { right, at = "value" } = issue.params as FaultParams;
    return [source.fault(path, at, message, right)];
  }
  if (code === "unrecognized_keys") {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => {
      const right = nearest(key, known) ?? `one of ${known.join(", ")}`;
      return source.fault([...path, key], "key", "is not a known key", right);
    });
  }
  const isGeneric = message.startsWith(GENERIC);
  if (code === "invalid_union") {
    const branch = issue.errors.find(isEntered) ?? (isGeneric ? issue.errors.at(-1) : undefined);
    if (branch)
      return branch.flatMap((one) => faultsOf(source, schema, { ...one, path: [...path, ...one.path] }));
  }
  const right = code === "invalid_type" && isGeneric ? (TYPES[issue.expected] ?? issue.expected) : message;
  if (issue.input === undefined) return [{ ...source.fault(path, "key", "is missing", right), text: "" }];
  return [source.fault(path, "value", "is not valid", right)];
}

/** The beginning of zod's own messages. Every other message is the schema's: it describes a valid value. */
const GENERIC = "Invalid input";

/** Returns whether the value has the type that this branch of a union expects, and the fault is inside it. */
function isEntered(issues: z.core.$ZodIssue[]): boolean {
  return issues.some(
    ({ path, code }) => path.length > 0 || code === "custom" || code === "unrecognized_keys",
  );
}

const TYPES: Record<string, string> = {
  object: "a mapping (key: value)",
  record: "a mapping (name: value)",
  array: "a list",
  string: "text; a number or true needs quotes",
};
