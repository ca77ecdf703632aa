import type { Policy } from "./policy.ts";

/**
 * Returns the names that a process can take by renaming itself so that the policy governs it; `undefined` where a name
 * has to match a pattern. A renaming changes neither of the other two names, of the executable and the first argument.
 */
export function commNamesOf({ targets, rules }: Policy): readonly string[] | undefined {
  const patterns = [...targets, ...rules.flatMap((rule) => rule.commands)];
  const names = patterns.map(({ comm }) => comm);
  return names.some((name) => name === undefined) ? undefined : [...new Set(names as string[])];
}
