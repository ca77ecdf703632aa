import type { z } from "zod";
import { findWholeDisk } from "../../linux/blockDevice.ts";
import type { Policy } from "../policy.ts";
import { PolicyCompiler } from "./compile.ts";
import { knownKeys } from "./describe.ts";
import type { PolicyFault } from "./fault.ts";
import type { FaultParams } from "./leaves.ts";
import { nearest } from "./nearest.ts";
import { policySchema } from "./schema.ts";
import { Source } from "./source.ts";

/** A policy that can be used, with what in it is most likely a slip; or everything that is wrong. */
export type LoadedPolicy = { policy: Policy; warnings: PolicyFault[] } | { faults: PolicyFault[] };

/** `path` is what the policy is called in messages; nothing is read but what `findDisk` looks at. */
export function loadPolicy(text: string, path: string, findDisk = findWholeDisk): LoadedPolicy {
  const source = new Source(text);
  const { faults } = source;
  if (source.value === null || source.value === undefined) {
    if (faults.length === 0) faults.push(emptyFault(source));
    return { faults };
  }
  const parsed = policySchema.safeParse(source.value, { reportInput: true });
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => faultsOf(source, issue)));
  if (!parsed.success || faults.length > 0) return { faults: inOrder(faults) };
  const compiler = new PolicyCompiler(source, findDisk);
  const policy = compiler.compile(parsed.data, path);
  return { policy, warnings: inOrder(compiler.warnings) };
}

/** Most often a file that was cut off: to take it for "no limits" would release every job. */
function emptyFault(source: Source): PolicyFault {
  const right = "a policy; {} for the usual commands without limits";
  return source.fault([], "value", "the file says nothing", right);
}

function faultsOf(source: Source, issue: z.core.$ZodIssue): PolicyFault[] {
  const { code, path, message } = issue;
  if (code === "custom") {
    const { right, at = "value" } = issue.params as FaultParams;
    return [source.fault(path, at, message, right)];
  }
  if (code === "unrecognized_keys") {
    const known = knownKeys(path);
    return issue.keys.map((key) => {
      const right = nearest(key, known) ?? `one of ${known.join(", ")}`;
      return source.fault([...path, key], "key", "is no key that is known here", right);
    });
  }
  if (code === "invalid_union") {
    const branch = issue.errors.find(isEntered) ?? (message === GENERIC ? issue.errors.at(-1) : undefined);
    if (branch) return branch.flatMap((one) => faultsOf(source, { ...one, path: [...path, ...one.path] }));
  }
  const right =
    code === "invalid_type" && message.startsWith(GENERIC)
      ? (KINDS[issue.expected] ?? issue.expected)
      : message;
  if (issue.input === undefined) return [{ ...source.fault(path, "key", "is missing", right), text: "" }];
  return [source.fault(path, "value", "is of the wrong kind", right)];
}

/** How messages of the library begin. The other messages are those of the schema: they describe a valid value. */
const GENERIC = "Invalid input";

/** The value had the kind that this branch of a union expects, and something inside it is wrong. */
function isEntered(issues: z.core.$ZodIssue[]): boolean {
  return issues.some(
    ({ path, code }) => path.length > 0 || code === "custom" || code === "unrecognized_keys",
  );
}

const KINDS: Record<string, string> = {
  object: "keys with values below it",
  record: "names with values below it",
  array: "a list",
  string: "a text; a number or true needs quotes",
};

function inOrder(faults: PolicyFault[]): PolicyFault[] {
  return faults.sort((a, b) => a.line - b.line || a.column - b.column);
}
