import type { NamePattern } from "../namePattern.ts";
import type { Pattern } from "../pattern.ts";
import type { Policy } from "../policy.ts";
import type { Warn } from "./compile.ts";
import type { PolicyWords } from "./schema.ts";

/** Each rule is compared with all earlier ones. */
const MAX_COMPARED_RULES = 500;

type Value = Pattern | NamePattern | number | boolean;

/** A value, with what is compared of it for each pair of rules. */
interface Compared {
  value: Value;
  /** X of a pattern `*X*`, where X has no special character. */
  infix: string | undefined;
  /** The texts that a match of the pattern contains; `undefined` where they are not known. */
  parts: readonly string[] | undefined;
}

/** The conditions of a rule by key, of which all must be met. Of the values of a key, one is enough. */
type Conditions = Map<string, readonly Compared[]>;

interface ComparedRule {
  conditions: Conditions;
  tenant: string | undefined;
}

/**
 * Warns of rules that can never decide, because an earlier rule matches every process that they match. Only what the
 * conditions themselves prove counts: users, paths and symbolic links can be different tomorrow.
 */
export function warnOfShadowedRules({ rules }: PolicyWords, policy: Policy, warn: Warn): void {
  const all = (rules ?? []).slice(0, MAX_COMPARED_RULES).map(({ match, tenant }): ComparedRule => {
    const conditions = conditionsOf(match);
    // A rule that names neither a command nor an executable is about the target commands.
    if (!conditions.has("exe") && !conditions.has("command"))
      conditions.set("command", policy.targets.map(toCompared));
    return { conditions, tenant: tenant?.text };
  });
  for (const [index, rule] of all.entries()) {
    const earlier = all.findIndex((wider, at) => at < index && isWider(wider, rule));
    if (earlier < 0) continue;
    const name = policy.rules[earlier]?.name;
    warn(
      ["rules", index, "name"],
      `never decides: rule ${name} matches every process that it matches, and is tried before it`,
      `above rule ${name}`,
    );
  }
}

function isWider(wide: ComparedRule, narrow: ComparedRule): boolean {
  // A rule whose tenant comes from the process passes over processes without that fact.
  if (wide.tenant?.includes("{") && wide.tenant !== narrow.tenant) return false;
  for (const [key, values] of wide.conditions)
    if (!isCovered(key, narrow.conditions.get(key), values)) return false;
  return true;
}

function conditionsOf(match: Record<string, unknown>): Conditions {
  const given = Object.entries(match).filter(([, values]) => values !== undefined);
  const byKey = given.flatMap(([key, values]): [string, Value[]][] => {
    if (key !== "env" && key !== "labels") return [[key, [values].flat() as Value[]]];
    const named = Object.entries(values as Record<string, Value[]>);
    return named.map(([name, patterns]) => [`${key}.${name}`, patterns]);
  });
  return new Map(byKey.map(([key, values]) => [key, values.map(toCompared)]));
}

function toCompared(value: Value): Compared {
  if (typeof value !== "object") return { value, infix: undefined, parts: undefined };
  const { text } = value;
  const parts = /[?[\\]/.test(text) ? undefined : text.split("*");
  const infix = parts?.length === 3 && parts[0] === "" && parts[2] === "" ? parts[1] : undefined;
  return { value, infix, parts };
}

/** Returns whether a process with one of the values `narrow` always has one of the values `wide`. */
function isCovered(key: string, narrow: readonly Compared[] | undefined, wide: readonly Compared[]): boolean {
  return narrow?.every((value) => wide.some((wider) => covers(key, wider, value))) ?? false;
}

function covers(key: string, { value: wide, infix }: Compared, { value: narrow, parts }: Compared): boolean {
  if (typeof wide !== "object") return wide === narrow || (wide === true && typeof narrow === "object");
  if (typeof narrow !== "object") return false;
  if (wide.text === narrow.text) return true;
  // A symbolic link can lead out of a directory that its path is in.
  if (key === "exe" || key === "cwd") return false;
  const { literal } = narrow;
  if (literal === undefined)
    return (
      wide.text === "*" || (infix !== undefined && (parts?.some((part) => part.includes(infix)) ?? false))
    );
  if ("matches" in wide) return wide.matches(literal);
  const names = { comm: "", argv0: "", executable: "" };
  // The process may have only one of the names, of which the kernel cuts one.
  const comm = Buffer.from(literal).subarray(0, 15).toString();
  const each = [{ comm }, { argv0: literal }, { executable: literal }];
  return each.every((name) => wide.find({ ...names, ...name }) !== undefined);
}
