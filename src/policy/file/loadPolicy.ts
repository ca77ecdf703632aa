import type { z } from "zod";
import { findWholeDisk } from "../../linux/blockDevice.ts";
import type { Policy } from "../policy.ts";
import { compilePolicy } from "./compile.ts";
import { findContradictions } from "./contradictions.ts";
import type { PolicyFault } from "./fault.ts";
import type { LeafParams } from "./leaves.ts";
import { nearest } from "./nearest.ts";
import { knownKeys, policySchema } from "./schema.ts";
import { parseSource, type Source } from "./source.ts";

/** A policy that can be used, with what in it is most likely a slip; or everything that is wrong. */
export type LoadedPolicy = { policy: Policy; warnings: PolicyFault[] } | { faults: PolicyFault[] };

/** `path` is what the policy is called in messages; nothing is read but what `findDisk` looks at. */
export function loadPolicy(text: string, path: string, findDisk = findWholeDisk): LoadedPolicy {
  const { source, faults } = parseSource(text);
  if (source.value === null || source.value === undefined) {
    if (faults.length === 0) faults.push(emptyFault(source));
    return { faults };
  }
  const parsed = policySchema.safeParse(source.value);
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => faultsOf(source, issue)));
  faults.push(...findContradictions(source));
  if (!parsed.success || faults.length > 0) return { faults: inOrder(faults) };
  const { policy, warnings } = compilePolicy(parsed.data, path, source, findDisk);
  return { policy, warnings: inOrder(warnings) };
}

/** Most often a file that was cut off: to take it for "no limits" would release every job. */
function emptyFault(source: Source): PolicyFault {
  const right = "a policy; {} for the usual commands without limits";
  return source.fault([], "value", "the file says nothing", right);
}

function faultsOf(source: Source, issue: z.core.$ZodIssue): PolicyFault[] {
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(issue.path);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      const right = near === undefined ? `one of ${known.join(", ")}` : near;
      return source.fault([...issue.path, key], "key", "is no key that is known here", right);
    });
  }
  // In a union the branch that went furthest tells most.
  if (issue.code === "invalid_union") {
    const inner = innermost(issue.errors);
    if (inner.length > 0) {
      return inner.flatMap((one) => faultsOf(source, { ...one, path: [...issue.path, ...one.path] }));
    }
  }
  const isMissing = "input" in issue ? issue.input === undefined : !hasValue(source.value, issue.path);
  const right = rightOf(issue);
  if (isMissing) return [{ ...source.fault(issue.path, "key", "is missing", right), text: "" }];
  const message = issue.code === "custom" ? issue.message : "is of the wrong kind";
  return [source.fault(issue.path, "value", message, right)];
}

/** The issues of a branch that was entered: they are about something inside, or about what the value says. */
function innermost(branches: z.core.$ZodIssue[][]): z.core.$ZodIssue[] {
  const isEntered = (issues: z.core.$ZodIssue[]): boolean =>
    issues.some(({ path, code }) => path.length > 0 || code === "custom" || code === "unrecognized_keys");
  return branches.find(isEntered) ?? [];
}

const KINDS: Record<string, string> = {
  object: "keys with values below it",
  record: "names with values below it",
  array: "a list",
  string: "a text; a number or true needs quotes",
};

function rightOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "custom") return (issue.params as LeafParams | undefined)?.right ?? issue.message;
  // Ours say what would be right; those of the library say what was expected.
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    return KINDS[issue.expected] ?? issue.expected;
  }
  return issue.message;
}

function hasValue(value: unknown, path: readonly PropertyKey[]): boolean {
  let current: unknown = value;
  for (const part of path) {
    if (typeof current !== "object" || current === null) return true;
    current = (current as Record<PropertyKey, unknown>)[part];
  }
  return current !== undefined;
}

function inOrder(faults: PolicyFault[]): PolicyFault[] {
  return faults.sort((a, b) => a.line - b.line || a.column - b.column);
}
