import { ValueFault } from "../limits/units.ts";

/**
 * Patterns of names and paths. `*` matches any number of characters, `?` one character, `[a-z]` one
 * character of the class, `[!a-z]` one character outside it; `\` removes the special meaning of the next
 * character. In a path none of these matches a `/`, and `**` as a whole component matches any number of
 * components, also none.
 *
 * Matching never backtracks: between two stars only the leftmost occurrence is tried, which is enough
 * because there is only one kind of star. The time is at most the product of both lengths, for every
 * pattern and text.
 */
export interface Pattern {
  readonly text: string;
  /** The only text that the pattern matches; `undefined` when it has a special character. */
  readonly literal: string | undefined;
  matches(text: string): boolean;
}

/** Every pattern is compared with every process. */
export const MAX_PATTERN_LENGTH = 1024;

/** Compiles a pattern of a whole text, in which `/` is an ordinary character. Throws ValueFault. */
export function compilePattern(text: string): Pattern {
  if (text.length > MAX_PATTERN_LENGTH)
    throw invalid(`it has ${text.length} characters; the maximum is ${MAX_PATTERN_LENGTH}`);
  const runs = parseRuns(text);
  const literal = runs.length === 1 ? runs[0]?.text : undefined;
  if (literal !== undefined) return { text, literal, matches: (candidate) => candidate === literal };
  return { text, literal, matches: compileRuns(runs) };
}

/** Compiles a pattern of an absolute path. Throws ValueFault. */
export function compilePathPattern(text: string): Pattern {
  if (!text.startsWith("/")) throw invalid("it is not an absolute path");
  if (text.split("/").includes("..")) throw invalid('it contains "..", which no path of a process contains');
  const runs: Pattern[][] = [[]];
  for (const part of splitPath(text)) {
    if (part === "**") runs.push([]);
    else runs.at(-1)?.push(compilePattern(part));
  }
  const [first = []] = runs;
  if (runs.length === 1 && first.every((part) => part.literal !== undefined)) {
    const literal = `/${first.map((part) => part.literal).join("/")}`;
    return { text, literal, matches: (path) => path === literal };
  }
  return { text, literal: undefined, matches: (path) => matchComponents(runs, splitPath(path)) };
}

/** Compiles a path pattern that also matches everything below its matches. Throws ValueFault. */
export function compileDirectoryPattern(text: string): Pattern {
  const { literal } = compilePathPattern(text);
  if (literal !== undefined) return { text, literal, matches: (path) => isWithin(path, literal) };
  return { ...compilePathPattern(`${text}/**`), text };
}

/** Returns whether a path is a directory or below it. Components are whole: `/srv/ab` is not in `/srv/a`. */
export function isWithin(path: string, directory: string): boolean {
  if (directory === "/") return path.startsWith("/");
  return path.startsWith(directory) && (path.length === directory.length || path[directory.length] === "/");
}

/** The part of a pattern between two stars, which matches a fixed number of characters. */
interface Run {
  /** The only text that it matches; `undefined` when it has a special character. */
  text: string | undefined;
  /** A regular expression. It has no quantifiers, so it cannot backtrack. */
  source: string;
}

/** A class, which may start with "]"; a character whose special meaning `\` removes; any other character. */
const TOKEN = /\[(!|(?!!))(.[^\]]*)\]|\\(.)|./gsu;

function parseRuns(text: string): Run[] {
  const runs: Run[] = [{ text: "", source: "" }];
  const append = (source: string, literal?: string): void => {
    const run = runs.at(-1) as Run;
    run.source += source;
    run.text = literal === undefined || run.text === undefined ? undefined : run.text + literal;
  };
  for (const [token, negation, members, escaped] of text.matchAll(TOKEN)) {
    if (token === "*") runs.push({ text: "", source: "" });
    else if (token === "?") append(".");
    else if (members !== undefined) append(classSource(negation === "!", members));
    else if (token === "[") throw invalid('"[" has no "]"; a literal "[" is written "\\["');
    else if (token === "\\") throw invalid('it ends in "\\"; a literal "\\" is written "\\\\"');
    else append((escaped ?? token).replace(/[\\^$.*+?()[\]{}|/]/, "\\$&"), escaped ?? token);
  }
  return runs;
}

function classSource(isNegated: boolean, members: string): string {
  const source = `[${isNegated ? "^" : ""}${members.replace(/[\\\]^]/g, "\\$&")}]`;
  try {
    new RegExp(source, "u");
  } catch {
    throw invalid(`[${members}] has a range that is the wrong way round`);
  }
  return source;
}

function compileRuns(runs: readonly Run[]): (text: string) => boolean {
  const texts = runs.flatMap((run) => run.text ?? []);
  if (texts.length === runs.length) return (text) => matchTexts(texts, text);
  const expressions = runs.map(({ source }, index) => {
    const [start, end] = [index === 0 ? "^" : "", index === runs.length - 1 ? "$" : ""];
    return new RegExp(`${start}${source}${end}`, "gsu");
  });
  return (text) => {
    let at = 0;
    for (const expression of expressions) {
      expression.lastIndex = at;
      if (!expression.test(text)) return false;
      at = expression.lastIndex;
    }
    return true;
  };
}

/** The common case, which is faster without regular expressions. */
function matchTexts(runs: readonly string[], text: string): boolean {
  const first = runs[0] as string;
  const last = runs.at(-1) as string;
  if (text.length < first.length + last.length) return false;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  for (const run of runs.slice(1, -1)) {
    const found = text.indexOf(run, at);
    if (found < 0) return false;
    at = found + run.length;
  }
  return at <= text.length - last.length;
}

/** Matches the runs between the `**` of a path pattern. */
function matchComponents(runs: readonly Pattern[][], components: readonly string[]): boolean {
  const first = runs[0] as Pattern[];
  const last = runs.at(-1) as Pattern[];
  // Most paths differ in a component without special characters, which is compared faster than the others.
  for (let index = 0; index < first.length; index++) {
    const literal = first[index]?.literal;
    if (literal !== undefined && literal !== components[index]) return false;
  }
  const fits = (run: Pattern[], at: number): boolean =>
    run.every((pattern, index) => pattern.matches(components[at + index] as string));
  const end = components.length - last.length;
  if (runs.length === 1) return end === 0 && fits(first, 0);
  if (end < first.length || !fits(first, 0) || !fits(last, end)) return false;
  let at = first.length;
  for (const run of runs.slice(1, -1)) {
    while (at + run.length <= end && !fits(run, at)) at++;
    if (at + run.length > end) return false;
    at += run.length;
  }
  return true;
}

function invalid(reason: string): ValueFault {
  return new ValueFault(`is not a valid pattern: ${reason}`);
}

let lastSplit: { path: string; parts: string[] } = { path: "", parts: [] };

/** Drops empty components: `/a//b/` is `/a/b`. Keeps its last result, as many patterns use one path. */
function splitPath(path: string): string[] {
  if (path !== lastSplit.path) {
    lastSplit = { path, parts: path.split("/").filter((part) => part !== "" && part !== ".") };
  }
  return lastSplit.parts;
}
