import type { NamePattern } from "../namePattern.ts";
import type { Pattern } from "../pattern.ts";
import type { Policy } from "../policy.ts";
import type { Warn } from "./compile.ts";
import type { PolicyWords } from "./schema.ts";

/** Each rule is compared with all earlier ones. */
const MAX_COMPARED_RULES = 500;

type Value = Pattern | NamePattern | number | boolean;
/** The conditions of a rule by key, of which all must be met. Of the values of a key, one is enough. */
type Conditions = Map<string, readonly Value[]>;

/**
 * Warns of rules that can never decide, because an earlier rule matches every process that they match. Only what the
 * conditions themselves prove counts: users, paths and symbolic links can be different tomorrow.
 */
export function warnOfShadowedRules({ rules }: PolicyWords, policy: Policy, warn: Warn): void {
  const all = (rules ?? []).slice(0, MAX_COMPARED_RULES).map(({ match, tenant }) => {
    const conditions = conditionsOf(match);
    // A rule that names neither a command nor an executable is about the target commands.
    if (!conditions.has("exe") && !conditions.has("command")) conditions.set("command", policy.targets);
    return { conditions, tenant: tenant?.text };
  });
  for (const [index, rule] of all.entries()) {
    const earlier = all.slice(0, index).findIndex((wider) => {
      // A rule whose tenant comes from the process passes over processes without that fact.
      if (wider.tenant?.includes("{") && wider.tenant !== rule.tenant) return false;
      return [...wider.conditions].every(([key, values]) => isCovered(key, rule.conditions.get(key), values));
    });
    if (earlier < 0) continue;
    const name = policy.rules[earlier]?.name;
    warn(
      ["rules", index, "name"],
      `never decides: rule ${name} matches every process that it matches, and is tried before it`,
      `above rule ${name}`,
    );
  }
}

function conditionsOf(match: Record<string, unknown>): Conditions {
  const given = Object.entries(match).filter(([, values]) => values !== undefined);
  return new Map(
    given.flatMap(([key, values]): [string, Value[]][] => {
      if (key !== "env") return [[key, [values].flat() as Value[]]];
      const variables = Object.entries(values as Record<string, Value[]>);
      return variables.map(([name, patterns]) => [`env.${name}`, patterns]);
    }),
  );
}

/** Returns whether a process with one of the values `narrow` always has one of the values `wide`. */
function isCovered(key: string, narrow: readonly Value[] | undefined, wide: readonly Value[]): boolean {
  return narrow?.every((value) => wide.some((wider) => covers(key, wider, value))) ?? false;
}

function covers(key: string, wide: Value, narrow: Value): boolean {
  if (typeof wide !== "object") return wide === narrow || (wide === true && typeof narrow === "object");
  if (typeof narrow !== "object") return false;
  if (wide.text === narrow.text) return true;
  // A symbolic link can lead out of a directory that its path is in.
  if (key === "exe" || key === "cwd") return false;
  const { literal } = narrow;
  if (literal === undefined) return wide.text === "*" || containsItsText(wide.text, narrow.text);
  if ("matches" in wide) return wide.matches(literal);
  const names = { comm: "", argv0: "", executable: "" };
  // The process may have only one of the names, of which the kernel cuts one.
  const comm = Buffer.from(literal).subarray(0, 15).toString();
  const each = [{ comm }, { argv0: literal }, { executable: literal }];
  return each.every((name) => wide.find({ ...names, ...name }) !== undefined);
}

/** Returns whether `wide` is `*TEXT*`, and `narrow` a pattern that itself requires TEXT. */
function containsItsText(wide: string, narrow: string): boolean {
  const text = /^\*([^*?[\\]+)\*$/.exec(wide)?.[1];
  if (text === undefined || /[?[\\]/.test(narrow)) return false;
  return narrow.split("*").some((part) => part.includes(text));
}
