import { INTENTS } from "../../limits/intents.ts";
import { LIMITS, type LimitKey } from "../../limits/table.ts";
import type { NamePattern } from "../namePattern.ts";
import type { Pattern } from "../pattern.ts";
import { DEFAULT_TARGETS, type Policy } from "../policy.ts";
import type { Warn } from "./compile.ts";
import type { Machine } from "./machine.ts";
import { nearest } from "./nearest.ts";
import type { PolicyWords } from "./schema.ts";
import { warnOfShadowedRules } from "./shadowedRules.ts";

/** Warns of values that are valid and most likely not meant. `raw` is the file as it is written. */
export function warnOfMistakes(
  words: PolicyWords,
  raw: unknown,
  policy: Policy,
  machine: Machine,
  warn: Warn,
): void {
  warnOfValues(words, raw, warn);
  warnOfNames(words, machine, warn);
  for (const [index, { match }] of (words.rules ?? []).entries()) {
    for (const [item, pattern] of (match.argv ?? []).entries())
      warnOfArguments(
        pattern,
        policy.rules[index]?.commands ?? [],
        ["rules", index, "match", "argv", item],
        warn,
      );
  }
  warnOfShadowedRules(words, policy, warn);
}

type Path = PropertyKey[];

const LIMIT_KEYS: [string, LimitKey<unknown>][] = Object.values(LIMITS).flatMap(({ keys }) =>
  Object.entries(keys as Record<string, LimitKey<unknown>>),
);

/** Warns of limits with a likely mistake, as the options of the command line do. */
function warnOfValues(words: PolicyWords, raw: unknown, warn: Warn): void {
  const sections: Path[] = [
    ["default_limits"],
    ...INTENTS.map((intent) => ["intents", intent]),
    ...Object.keys(words.commands ?? {}).map((name) => ["commands", name, "limits"]),
    ...(words.rules ?? []).map((_, index) => ["rules", index, "limits"]),
    ...Object.keys(words.tenants ?? {}).map((name) => ["tenants", name]),
  ];
  for (const at of sections) {
    for (const [key, { mistakeIn }] of LIMIT_KEYS) {
      const given = valueAt(raw, [...at, key]);
      const mistake = given === undefined ? undefined : mistakeIn?.(String(given).trim());
      if (mistake) warn([...at, key], mistake.message, mistake.right);
    }
  }
}

function valueAt(value: unknown, path: Path): unknown {
  // biome-ignore lint/suspicious/noExplicitAny: the schema has accepted it
  return path.reduce<any>((inner, part) => inner?.[part], value);
}

/** Warns of commands, users and groups that do not exist here. They may come later, or exist on another machine. */
function warnOfNames(words: PolicyWords, { programs, users, groups }: Machine, warn: Warn): void {
  let searches = 0;
  const searched = <T>(names: Iterable<T>): Iterable<T> => (searches++ < MAX_SEARCHES ? names : []);
  const filters: [Path, NonNullable<PolicyWords["filters"]>][] = [
    [["filters"], words.filters ?? {}],
    ...Object.entries(words.commands ?? {}).map(([name, command]): [Path, typeof words.filters & {}] => [
      ["commands", name, "filters"],
      command?.filters ?? {},
    ]),
  ];
  const rules = (words.rules ?? []).map(({ match }, index) => ({ match, at: ["rules", index, "match"] }));
  const commands = [
    { at: ["target_commands"], patterns: words.target_commands },
    ...rules.map(({ at, match }) => ({ at: [...at, "command"], patterns: match.command })),
  ];
  const checked = new Set<string>();
  for (const { at, patterns } of commands) {
    for (const [index, { literal }] of (patterns ?? []).entries()) {
      if (literal === undefined || checked.has(literal)) continue;
      checked.add(literal);
      const mistake = mistakeInCommand(literal, {
        has: (name) => programs.has(name),
        list: () => searched(programs.list()),
      });
      if (mistake) warn([...at, index], ...mistake);
    }
  }
  const principals = [
    ...rules.map(({ at, match }) => ({ at: [...at, "user"], values: match.user, kind: USER })),
    ...rules.map(({ at, match }) => ({ at: [...at, "group"], values: match.group, kind: GROUP })),
    ...filters.flatMap(([at, { allowed_users, blocked_users }]) => [
      { at: [...at, "allowed_users"], values: allowed_users, kind: USER },
      { at: [...at, "blocked_users"], values: blocked_users, kind: USER },
    ]),
  ];
  const named = principals.flatMap(({ at, values, kind }) =>
    (values ?? []).flatMap((value, index) => {
      const name = typeof value === "number" ? undefined : value.literal;
      return name === undefined ? [] : { at: [...at, index], name, kind };
    }),
  );
  if (named.length === 0) return;
  const known = new Map([
    [USER, users()],
    [GROUP, groups()],
  ]);
  for (const { at, name, kind } of named) {
    const names = known.get(kind);
    if (names === undefined || names.has(name)) continue;
    const right = /^\d+$/.test(name)
      ? `${name} without quotes, for the id`
      : (nearest(name, searched(names)) ?? "a name in that file, or an id");
    warn(at, `is not a ${kind}, and matches no process now`, right);
  }
}

/** A similar name is searched among all that exist, which takes milliseconds, for so many names at most. */
const MAX_SEARCHES = 10;

const USER = "user in /etc/passwd";
const GROUP = "group in /etc/group";

/** Returns the message and the right values about a name that no program has. */
export function mistakeInCommand(
  name: string,
  programs: { has(name: string): boolean; list(): Iterable<string> },
): [message: string, right: string] | undefined {
  // These are spelled right, and a policy for many machines lists both.
  if (DEFAULT_TARGETS.includes(name) || programs.has(name)) return undefined;
  if (name.includes(",")) return ["is one name, with a comma in it", "an item for each command"];
  const right = nearest(name, DEFAULT_TARGETS) ?? nearest(name, programs.list());
  return [
    "is the name of no program in PATH, and of no process now",
    right ?? "a name that ps -e shows in its last column",
  ];
}

/** Warns of a pattern that is meant for a part of the command line, and is compared with the whole of it. */
function warnOfArguments({ text }: Pattern, commands: readonly NamePattern[], at: Path, warn: Warn): void {
  const [program = "", ...others] = text.split(" ");
  const isOfCommand = commands.some(
    ({ find }) => find({ comm: "", executable: "", argv0: program.split("/").at(-1) ?? "" }) !== undefined,
  );
  // A whole command line, word by word.
  if (!text.includes("*") && isOfCommand && others.length > 0) return;
  // No program has such a name, and the command line begins with the name of the program.
  const isInside = /^-\w|^[^*]*:\/\//.test(program);
  if (text.includes("*") && !isInside) return;
  const right = `"*${text.replace(/^\*|\*$/g, "")}*"`;
  const message = isInside
    ? "is compared with the whole command line, which begins with the name of the program"
    : "is compared with the whole command line, and matches no longer one without *";
  warn(at, message, right);
}
