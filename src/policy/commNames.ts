import type { NamePattern } from "./namePattern.ts";
import type { Policy } from "./policy.ts";

/**
 * Returns the names that a process can take by renaming itself so that the policy governs it; `undefined` where a name
 * has to match a pattern. A renaming changes neither of the other two names, of the executable and the first argument.
 * The kernel keeps 15 bytes of them.
 */
export function commNamesOf({ targets, rules }: Policy): readonly string[] | undefined {
  return namesOfAll([...targets, ...rules.flatMap((rule) => rule.commands)]);
}

/**
 * Returns the names that the files of all governed commands have; `undefined` where a rule does not say them: it has a pattern, or names executables by their paths, which links can have
 * other names than. A process with another name matches only by its first argument, by the name of the interpreter of its
 * script, or by the name of the file behind a link.
 */
export function execNamesOf({ targets, rules }: Policy): readonly string[] | undefined {
  const governing = rules.filter(({ ignore }) => !ignore);
  if (governing.some(({ commands }) => commands.length === 0)) return undefined;
  return namesOfAll([...targets, ...governing.flatMap((rule) => rule.commands)]);
}

function namesOfAll(patterns: readonly NamePattern[]): string[] | undefined {
  const names = patterns.map(({ literal }) => literal);
  return names.some((name) => name === undefined) ? undefined : [...new Set(names as string[])];
}
