import type { ProcessFacts } from "./facts.ts";
import type { NamePattern } from "./namePattern.ts";
import { isWithin, type Pattern } from "./pattern.ts";
import type { TenantTemplate } from "./tenant.ts";

/** One thing that a policy asks of a process. */
export interface Condition {
  /** As it is called in the file: `match.user`, `filters.min_runtime`. */
  readonly key: string;
  /** As the file words it. */
  readonly wanted: string;
  holds(facts: ProcessFacts): boolean;
  /** What the process has instead, for people. */
  found(facts: ProcessFacts): string;
  /** Its place among those that several rules of a policy have: it is asked once for all of them. */
  shared?: number;
  /** When it may hold later: after how many ms. */
  retryInMs?(facts: ProcessFacts): number;
}

const UNKNOWN = "not to be seen";

export function commandIs(key: string, patterns: readonly NamePattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds: ({ names }) => patterns.some((pattern) => pattern.find(names) !== undefined),
    found: ({ names: { executable, argv0, comm } }) =>
      [...new Set([executable, argv0, comm])].filter(Boolean).join(", ") || UNKNOWN,
  };
}

/** An executable that the policy names in full is found through symbolic links too. */
export function executableIs(key: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds(facts) {
      const { executable } = facts;
      return executable !== undefined && patterns.some((pattern) => isOrLeadsTo(facts, pattern, executable));
    },
    found: ({ executable }) => executable ?? UNKNOWN,
  };
}

function isOrLeadsTo(facts: ProcessFacts, { literal, matches }: Pattern, path: string): boolean {
  return matches(path) || (literal !== undefined && facts.resolve(literal) === path);
}

/** The arguments, the command's own name first, with a blank between two. */
export function argumentsMatch(key: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds: (facts) => patterns.some(({ matches }) => matches(commandLine(facts))),
    found: (facts) => commandLine(facts) || UNKNOWN,
  };
}

/** More is not looked at: a process chooses its arguments, and 2 MB of them would cost every rule. */
const LONGEST_COMMAND_LINE = 32_768;

let lastLine: { argv: readonly string[]; line: string } = { argv: [], line: "" };

/** Keeps the last one: a process is compared with one pattern after another. */
function commandLine({ argv }: ProcessFacts): string {
  if (argv !== lastLine.argv) lastLine = { argv, line: argv.join(" ").slice(0, LONGEST_COMMAND_LINE) };
  return lastLine.line;
}

/** A user or a group, by name or by number. */
export type Principal = number | Pattern;

export function userIs(key: string, principals: readonly Principal[]): Condition {
  return {
    key,
    wanted: anyOf(principals),
    holds: ({ uid, user }) => principals.some((principal) => isPrincipal(principal, uid, () => user)),
    found: ({ uid, user }) => principalText(uid, user),
  };
}

export function groupIs(key: string, principals: readonly Principal[]): Condition {
  return {
    key,
    wanted: anyOf(principals),
    holds: ({ gid, group }) => principals.some((principal) => isPrincipal(principal, gid, () => group)),
    found: ({ gid, group }) => principalText(gid, group),
  };
}

function isPrincipal(principal: Principal, id: number | undefined, name: () => string | undefined): boolean {
  if (typeof principal === "number") return id === principal;
  const known = name();
  return known !== undefined && principal.matches(known);
}

function principalText(id: number | undefined, name: string | undefined): string {
  if (id === undefined) return UNKNOWN;
  return name === undefined ? `${id}, which has no name here` : `${name} (${id})`;
}

/** Whether the working directory is one of these or lies below it. */
export function directoryIs(key: string, directories: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(directories),
    holds(facts) {
      const { cwd } = facts;
      return cwd !== undefined && directories.some((directory) => isInside(facts, directory, cwd));
    },
    found: ({ cwd }) => cwd ?? UNKNOWN,
  };
}

function isInside(facts: ProcessFacts, { literal, matches }: Pattern, cwd: string): boolean {
  return matches(cwd) || (literal !== undefined && isWithin(cwd, facts.resolve(literal)));
}

/** Whether one of its cgroups is one of these or lies below it. */
export function cgroupIs(key: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds: ({ cgroups }) => cgroups.some((path) => patterns.some(({ matches }) => matches(path))),
    found: ({ cgroups }) => [...new Set(cgroups)].join(", ") || UNKNOWN,
  };
}

/** `true`: in any container, `false`: in none. */
export function containerIs(key: string, wanted: boolean | readonly Pattern[]): Condition {
  return {
    key,
    wanted: typeof wanted === "boolean" ? (wanted ? "any" : "none") : anyOf(wanted),
    holds: ({ container }) =>
      typeof wanted === "boolean"
        ? wanted === (container !== undefined)
        : container !== undefined && wanted.some(({ matches }) => matches(container)),
    found: ({ container }) => container ?? "none",
  };
}

/** Whether it was started by such a command, or by something that such a command started. */
export function startedBy(key: string, patterns: readonly NamePattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds: ({ ancestors }) =>
      ancestors.some((names) => patterns.some((pattern) => pattern.find(names) !== undefined)),
    found: ancestorText,
  };
}

function ancestorText({ ancestors }: ProcessFacts): string {
  return ancestors.map(({ comm }) => comm).join(" < ") || "none";
}

export function variableMatches(key: string, name: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    holds({ environment }) {
      const value = environment?.get(name);
      return value !== undefined && patterns.some(({ matches }) => matches(value));
    },
    found: ({ environment }) => (environment ? (environment.get(name) ?? "not set") : UNKNOWN),
  };
}

/** A parent by command, which any ancestor may be, or by PID, which the parent itself must be. */
export type Parent = number | NamePattern;

function hasParent({ ppid, ancestors }: ProcessFacts, parents: readonly Parent[]): boolean {
  return parents.some((parent) =>
    typeof parent === "number"
      ? parent === ppid
      : ancestors.some((names) => parent.find(names) !== undefined),
  );
}

export function parentAllowed(key: string, parents: readonly Parent[]): Condition {
  return {
    key,
    wanted: anyOf(parents),
    holds: (facts) => hasParent(facts, parents),
    found: (facts) => `${ancestorText(facts)} (parent ${facts.ppid})`,
  };
}

/** The contrary of a condition, for what is blocked; does not hold where the fact is not to be seen. */
export function blocked(condition: Condition, isKnown: (facts: ProcessFacts) => boolean): Condition {
  return {
    key: condition.key,
    wanted: `not ${condition.wanted}`,
    holds: (facts) => isKnown(facts) && !condition.holds(facts),
    found: condition.found,
  };
}

/** A rule whose tenant is taken from the process speaks only of processes that give one. */
export function tenantIsKnown(key: string, tenant: TenantTemplate): Condition {
  return {
    key,
    wanted: tenant.text,
    holds: (facts) => "name" in tenant.name(facts),
    found(facts) {
      const found = tenant.name(facts);
      return "name" in found ? found.name : found.missing;
    },
  };
}

/** Runtimes say when a process is taken up, not when one is let go that is governed. */
export function olderThan(key: string, leastMs: number, wanted: string): Condition {
  return {
    key,
    wanted,
    holds: ({ isGoverned, ageMs }) => isGoverned || ageMs >= leastMs,
    found: ({ ageMs }) => ageText(ageMs),
    retryInMs: ({ ageMs }) => leastMs - ageMs,
  };
}

export function youngerThan(key: string, mostMs: number, wanted: string): Condition {
  return {
    key,
    wanted,
    holds: ({ isGoverned, ageMs }) => isGoverned || ageMs <= mostMs,
    found: ({ ageMs }) => ageText(ageMs),
  };
}

function ageText(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)}s`;
}

function anyOf(items: readonly (number | { readonly text: string })[]): string {
  const texts = items.map((item) => (typeof item === "number" ? String(item) : item.text));
  return texts.length === 1 ? (texts[0] as string) : texts.join(" or ");
}
