import type { ProcessFacts, ProcessNames } from "./facts.ts";
import type { NamePattern } from "./namePattern.ts";
import { isWithin, type Pattern } from "./pattern.ts";
import type { TenantTemplate } from "./tenant.ts";

/** One requirement of a policy on a process. */
export interface Condition {
  /** The key in the file: `match.user`, `filters.min_runtime`. */
  readonly key: string;
  /** The values as the file has them. */
  readonly wanted: string;
  matches(facts: ProcessFacts): boolean;
  /** Returns the fact that the values are compared with, for people. */
  found(facts: ProcessFacts): string;
  /** The index among the conditions that several rules share, which are checked once for each process. */
  shared?: number;
  /** Returns the ms after which a process that fails may match; absent where waiting does not help. */
  retryInMs?(facts: ProcessFacts): number;
}

const UNKNOWN = "unknown";

export function commandIs(key: string, patterns: readonly NamePattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches: ({ names }) => findsAny(patterns, names),
    found: ({ names: { executable, argv0, comm } }) =>
      [...new Set([executable, argv0, comm])].filter(Boolean).join(", ") || UNKNOWN,
  };
}

function findsAny(patterns: readonly NamePattern[], names: ProcessNames): boolean {
  return patterns.some((pattern) => pattern.find(names) !== undefined);
}

/** Matches the path of the executable. A path without special characters may be a symbolic link to it. */
export function executableIs(key: string, patterns: readonly Pattern[]): Condition {
  return pathIs(key, patterns, "executable", (path, resolved) => path === resolved);
}

/** Matches a working directory that is one of these or below one. Symbolic links are followed. */
export function directoryIs(key: string, patterns: readonly Pattern[]): Condition {
  return pathIs(key, patterns, "cwd", isWithin);
}

function pathIs(
  key: string,
  patterns: readonly Pattern[],
  fact: "executable" | "cwd",
  isAt: (path: string, resolved: string) => boolean,
): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches(facts) {
      const path = facts[fact];
      if (path === undefined) return false;
      return patterns.some(
        ({ literal, matches }) =>
          matches(path) || (literal !== undefined && isAt(path, facts.resolve(literal))),
      );
    },
    found: (facts) => facts[fact] ?? UNKNOWN,
  };
}

/** Matches the arguments joined by spaces, argv[0] first. */
export function argumentsMatch(key: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches: (facts) => patterns.some(({ matches }) => matches(commandLine(facts))),
    found: (facts) => commandLine(facts) || UNKNOWN,
  };
}

/** A process chooses its arguments, and every rule would read all of them, up to 2 MB. */
const MAX_COMMAND_LINE_LENGTH = 32_768;

let lastLine: { argv: readonly string[]; line: string } = { argv: [], line: "" };

/** Keeps its last result, as many patterns are compared with one process. */
function commandLine({ argv }: ProcessFacts): string {
  if (argv !== lastLine.argv) lastLine = { argv, line: argv.join(" ").slice(0, MAX_COMMAND_LINE_LENGTH) };
  return lastLine.line;
}

/** A user or a group, by name or by number. */
type Principal = number | Pattern;

export function userIs(key: string, principals: readonly Principal[]): Condition {
  return principalIs(key, principals, "uid", "user");
}

export function groupIs(key: string, principals: readonly Principal[]): Condition {
  return principalIs(key, principals, "gid", "group");
}

function principalIs(
  key: string,
  principals: readonly Principal[],
  id: "uid" | "gid",
  name: "user" | "group",
): Condition {
  return {
    key,
    wanted: anyOf(principals),
    matches: (facts) =>
      principals.some((each) =>
        typeof each === "number" ? each === facts[id] : matchesKnown(each, facts[name]),
      ),
    found(facts) {
      const number = facts[id];
      return number === undefined ? UNKNOWN : `${facts[name] ?? "no name"} (${number})`;
    },
  };
}

function matchesKnown({ matches }: Pattern, text: string | undefined): boolean {
  return text !== undefined && matches(text);
}

/** Matches a process with a cgroup that is one of these or below one. */
export function cgroupIs(key: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches: ({ cgroups }) => cgroups.some((path) => patterns.some(({ matches }) => matches(path))),
    found: ({ cgroups }) => [...new Set(cgroups)].join(", ") || UNKNOWN,
  };
}

/** Matches a process in one of these containers. `true` matches any container, `false` the host. */
export function containerIs(key: string, wanted: boolean | readonly Pattern[]): Condition {
  return {
    key,
    wanted: typeof wanted === "boolean" ? (wanted ? "any" : "none") : anyOf(wanted),
    matches: ({ container }) =>
      typeof wanted === "boolean"
        ? wanted === (container !== undefined)
        : wanted.some((pattern) => matchesKnown(pattern, container)),
    found: ({ container }) => container ?? "none",
  };
}

/** Matches a process that one of these commands started, directly or through others. */
export function startedBy(key: string, patterns: readonly NamePattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches: ({ ancestors }) => ancestors.some((names) => findsAny(patterns, names)),
    found: ancestorText,
  };
}

function ancestorText({ ancestors }: ProcessFacts): string {
  return ancestors.map(({ comm }) => comm).join(" < ") || "none";
}

/** Matches a process with a parent of one of these PIDs or an ancestor of one of these names. */
export function parentAllowed(key: string, parents: readonly (number | NamePattern)[]): Condition {
  return {
    key,
    wanted: anyOf(parents),
    matches: ({ ppid, ancestors }) =>
      parents.some((parent) =>
        typeof parent === "number"
          ? parent === ppid
          : ancestors.some((names) => parent.find(names) !== undefined),
      ),
    found: (facts) => `${ancestorText(facts)} (parent ${facts.ppid})`,
  };
}

export function variableMatches(key: string, name: string, patterns: readonly Pattern[]): Condition {
  return {
    key,
    wanted: anyOf(patterns),
    matches: ({ environment }) => patterns.some((pattern) => matchesKnown(pattern, environment?.get(name))),
    found: ({ environment }) => (environment ? (environment.get(name) ?? "not set") : UNKNOWN),
  };
}

/** Returns the opposite of a condition. A process whose fact is unknown fails both. */
export function blocked(condition: Condition, isKnown: (facts: ProcessFacts) => boolean): Condition {
  return {
    key: condition.key,
    wanted: `not ${condition.wanted}`,
    matches: (facts) => isKnown(facts) && !condition.matches(facts),
    found: condition.found,
  };
}

/** Matches a process that has the facts that name its tenant. */
export function tenantIsKnown(key: string, tenant: TenantTemplate): Condition {
  return {
    key,
    wanted: tenant.text,
    matches: (facts) => "name" in tenant.name(facts),
    found(facts) {
      const found = tenant.name(facts);
      return "name" in found ? found.name : found.missing;
    },
  };
}

/** Matches jobs of any age: runtimes decide when a process becomes a job, and never end a job. */
export function olderThan(key: string, minMs: number, wanted: string): Condition {
  return {
    key,
    wanted,
    matches: ({ isGoverned, ageMs }) => isGoverned || ageMs >= minMs,
    found: ageText,
    retryInMs: ({ ageMs }) => minMs - ageMs,
  };
}

/** Matches jobs of any age, as `olderThan` does. */
export function youngerThan(key: string, maxMs: number, wanted: string): Condition {
  return {
    key,
    wanted,
    matches: ({ isGoverned, ageMs }) => isGoverned || ageMs <= maxMs,
    found: ageText,
  };
}

function ageText({ ageMs }: ProcessFacts): string {
  return `${(ageMs / 1000).toFixed(ageMs < 10_000 ? 1 : 0)}s`;
}

function anyOf(items: readonly (number | { readonly text: string })[]): string {
  return items.map((item) => (typeof item === "number" ? item : item.text)).join(" or ");
}
