import { maskSecrets, maskVariable } from "../jobs/model/secrets.ts";
import type { SchedulerLabel } from "../linux/proc/schedulers.ts";
import { MAX_ARGUMENT_BYTES } from "../linux/proc/table.ts";
import { type ProcessFacts, searchedPart } from "./facts.ts";
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
  /**
   * Returns the fact that the values are compared with, for people. A secret is masked here if only its name or the
   * words before it show that it is one.
   */
  found(facts: ProcessFacts): string;
  /** The index among the conditions that several rules share, which are checked once for each process. */
  shared?: number;
  /** Returns why a fact cannot be used, for a process that fails only for that and that should be reported. */
  refusal?(facts: ProcessFacts): string | undefined;
  /** Returns the ms after which a process that fails may match; absent where waiting does not help. */
  retryInMs?(facts: ProcessFacts): number;
}

type ConditionOf<V> = (key: string, values: readonly V[]) => Condition;

const UNKNOWN = "unknown";

/** Makes conditions that match when one of their values does. */
function anyOf<V extends number | { readonly text: string }>(
  matchesValue: (facts: ProcessFacts, value: V) => boolean,
  found: (facts: ProcessFacts) => string,
): ConditionOf<V> {
  return (key, values) => ({
    key,
    wanted: values.map((value) => (typeof value === "number" ? value : value.text)).join(" or "),
    matches: (facts) => values.some((value) => matchesValue(facts, value)),
    found,
  });
}

export const commandIs = anyOf<NamePattern>(
  ({ names }, pattern) => pattern.find(names) !== undefined,
  ({ names: { executable, argv0, comm } }) =>
    [...new Set([executable, argv0, comm])].filter(Boolean).join(", ") || UNKNOWN,
);

/** Matches the path of the executable. A path without special characters may be a symbolic link to it. */
export const executableIs = pathIs("executable", (path, resolved) => path === resolved);

/** Matches a working directory that is one of these or below one. Symbolic links are followed. */
export const directoryIs = pathIs("cwd", isWithin);

function pathIs(
  fact: "executable" | "cwd",
  isAt: (path: string, resolved: string) => boolean,
): ConditionOf<Pattern> {
  return anyOf(
    (facts, { literal, matches }) => {
      const path = facts[fact];
      if (path === undefined) return false;
      return matches(path) || (literal !== undefined && isAt(path, facts.resolve(literal)));
    },
    (facts) => facts[fact] ?? UNKNOWN,
  );
}

/** Matches the arguments joined by spaces, argv[0] first. */
export const argumentsMatch = anyOf<Pattern>(
  (facts, { matches }) => matches(commandLine(facts)),
  ({ argv }) => maskSecrets(argv).join(" ") || UNKNOWN,
);

let lastLine: { argv: readonly string[]; line: string } = { argv: [], line: "" };

/** Keeps its last result, as many patterns are compared with one process. */
function commandLine({ argv }: ProcessFacts): string {
  if (argv !== lastLine.argv) lastLine = { argv, line: argv.join(" ").slice(0, MAX_ARGUMENT_BYTES) };
  return lastLine.line;
}

/** Conditions on the effective user and group, by name or by number. */
export const userIs = principalIs("uid", "user");
export const groupIs = principalIs("gid", "group");

function principalIs(id: "uid" | "gid", name: "user" | "group"): ConditionOf<number | Pattern> {
  return anyOf(
    (facts, value) => (typeof value === "number" ? value === facts[id] : matchesKnown(value, facts[name])),
    (facts) => (facts[id] === undefined ? UNKNOWN : `${facts[name] ?? "no name"} (${facts[id]})`),
  );
}

function matchesKnown({ matches }: Pattern, text: string | undefined): boolean {
  return text !== undefined && matches(text);
}

/** Matches a process with a cgroup that is one of these or below one. */
export const cgroupIs = anyOf<Pattern>(
  ({ cgroups }, { matches }) => cgroups.some(matches),
  ({ cgroups }) => [...new Set(cgroups)].join(", ") || UNKNOWN,
);

const isInContainer = anyOf<Pattern>(
  ({ container }, pattern) => matchesKnown(pattern, container),
  ({ container }) => container ?? "none",
);

/** Matches a process in one of these containers. `true` matches any container, `false` the host. */
export function containerIs(key: string, wanted: boolean | readonly Pattern[]): Condition {
  if (typeof wanted !== "boolean") return isInContainer(key, wanted);
  return {
    ...isInContainer(key, []),
    wanted: wanted ? "any" : "none",
    matches: ({ container }) => wanted === (container !== undefined),
  };
}

/** Matches a process that one of these commands started, directly or through others. */
export const startedBy = anyOf(hasAncestor, ancestorText);

/** Matches a process with a parent of one of these PIDs or an ancestor of one of these names. */
export const parentAllowed = anyOf<number | NamePattern>(
  (facts, parent) => (typeof parent === "number" ? parent === facts.ppid : hasAncestor(facts, parent)),
  (facts) => `${ancestorText(facts)} (parent ${facts.ppid})`,
);

function hasAncestor({ ancestors }: ProcessFacts, pattern: NamePattern): boolean {
  return ancestors.some((names) => pattern.find(names) !== undefined);
}

function ancestorText({ ancestors }: ProcessFacts): string {
  return ancestors.map(({ comm }) => comm).join(" < ") || "none";
}

/** Matches a process whose environment variable `name` has one of these values. */
export function variableMatches(name: string): ConditionOf<Pattern> {
  return anyOf(
    ({ environment }, pattern) => matchesKnown(pattern, environment?.get(name)),
    (facts) => {
      const value = facts.environment?.get(name);
      if (value !== undefined) return maskVariable(name, value);
      return facts.environment ? `not set${searchedPart(facts)}` : UNKNOWN;
    },
  );
}

/** Matches a process whose label `name`, which its scheduler gave, has one of these values. */
export function labelMatches(name: SchedulerLabel): ConditionOf<Pattern> {
  return anyOf(
    ({ labels }, pattern) => matchesKnown(pattern, labels[name]),
    ({ labels }) => labels[name] ?? "none",
  );
}

/** Negates conditions, which then fail where the fact is unknown. */
export function not<V>(
  conditionOf: ConditionOf<V>,
  isKnown: (facts: ProcessFacts) => boolean = () => true,
): ConditionOf<V> {
  return (key, values) => {
    const { wanted, matches, found } = conditionOf(key, values);
    return { key, wanted: `not ${wanted}`, matches: (facts) => isKnown(facts) && !matches(facts), found };
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
    refusal(facts) {
      const found = tenant.name(facts);
      return "missing" in found && found.isRefused ? found.missing : undefined;
    },
  };
}

/** A process age as the file has it. */
export interface Age {
  ms: number;
  text: string;
}

export function olderThan(key: string, { ms, text }: Age): Condition {
  const condition = ageIs(key, `at least ${text}`, (ageMs) => ageMs >= ms);
  return { ...condition, retryInMs: ({ ageMs }) => ms - ageMs };
}

export function youngerThan(key: string, { ms, text }: Age): Condition {
  return ageIs(key, `at most ${text}`, (ageMs) => ageMs <= ms);
}

/** Matches jobs of any age: runtimes decide when a process becomes a job, and never end a job. */
function ageIs(key: string, wanted: string, isRight: (ageMs: number) => boolean): Condition {
  return {
    key,
    wanted,
    matches: ({ isGoverned, ageMs }) => isGoverned || isRight(ageMs),
    found: ({ ageMs }) => `${(ageMs / 1000).toFixed(ageMs < 10_000 ? 1 : 0)}s`,
  };
}
