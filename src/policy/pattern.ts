/**
 * Patterns of names and paths. `*` stands for any characters, `?` for one, `[a-z]` for one of them, `[!a-z]` for one
 * that is none of them; `\` takes the meaning from the next character. In a path none of them stands for a `/`, and
 * `**` as a whole component stands for any number of components, none among them.
 *
 * Matching cannot backtrack: between two stars the leftmost place is the only one that is tried, which is enough when
 * there is but one kind of star. The time is at most that of the two lengths multiplied, whoever wrote which.
 */
export interface Pattern {
  readonly text: string;
  /** What it stands for when it holds no special character. */
  readonly literal: string | undefined;
  matches(text: string): boolean;
}

/** Longer ones are refused: nobody writes them, and each is compared with every process. */
export const LONGEST_PATTERN = 1024;

/** A pattern of a whole text, in which `/` is a character like others. Throws PatternFault. */
export function compilePattern(text: string): Pattern {
  if (text.length > LONGEST_PATTERN)
    throw new PatternFault(`it has ${text.length} characters, ${LONGEST_PATTERN} are the most`);
  const tokens = parseTokens(text);
  if (tokens.every((token) => typeof token === "string")) {
    const literal = tokens.join("");
    return { text, literal, matches: (candidate) => candidate === literal };
  }
  const runs = splitAt(tokens, (token) => token === ANY).map(compileRun);
  return { text, literal: undefined, matches: (candidate) => matchRuns(runs, candidate) };
}

/** A pattern of an absolute path. Throws PatternFault. */
export function compilePathPattern(text: string): Pattern {
  if (!text.startsWith("/")) throw new PatternFault("it is no absolute path");
  if (text.split("/").includes(".."))
    throw new PatternFault('it holds "..", which no path of a process does');
  const components = splitPath(text).map((part) => (part === "**" ? DEEP : compilePattern(part)));
  const parts = components.flatMap((part) => (part === DEEP ? [] : [part.literal]));
  if (parts.length === components.length && parts.every((part) => part !== undefined)) {
    const literal = `/${parts.join("/")}`;
    return { text, literal, matches: (path) => path === literal };
  }
  const runs = splitAt(components, (part) => part === DEEP) as Pattern[][];
  return { text, literal: undefined, matches: (path) => matchComponents(runs, splitPath(path)) };
}

/** A path pattern that also matches everything below what it matches. Throws PatternFault. */
export function compileDirectoryPattern(text: string): Pattern {
  const { literal } = compilePathPattern(text);
  if (literal !== undefined) return { text, literal, matches: (path) => isWithin(path, literal) };
  const below = compilePathPattern(`${text}/**`);
  return { text, literal, matches: (path) => below.matches(path) };
}

/** Whether a path is a directory or lies below it, component by component: `/srv/ab` does not lie in `/srv/a`. */
export function isWithin(path: string, directory: string): boolean {
  if (directory === "/") return path.startsWith("/");
  return path.startsWith(directory) && (path.length === directory.length || path[directory.length] === "/");
}

/** A pattern that cannot be meant; the message completes "as a pattern it does not do: …". */
export class PatternFault extends Error {}

const ANY = Symbol("*");
const ONE = Symbol("?");
const DEEP = Symbol("**");

/** A character, one of a class, any one, or any number. */
type Token = string | CharacterClass | typeof ONE | typeof ANY;
interface CharacterClass {
  negated: boolean;
  ranges: [from: string, to: string][];
}

function parseTokens(text: string): Token[] {
  const characters = [...text];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    if (character === "*") tokens.push(ANY);
    else if (character === "?") tokens.push(ONE);
    else if (character === "\\") {
      const next = characters[++at];
      if (next === undefined)
        throw new PatternFault('it ends in "\\", which takes the meaning from a next one');
      tokens.push(next);
    } else if (character === "[") {
      const end = characters.indexOf("]", at + (characters[at + 1] === "!" ? 3 : 2));
      if (end < 0) throw new PatternFault('"[" has no "]": a bracket that is meant is written "\\["');
      tokens.push(parseClass(characters.slice(at + 1, end)));
      at = end;
    } else tokens.push(character);
  }
  return tokens;
}

function parseClass(characters: string[]): CharacterClass {
  const negated = characters[0] === "!";
  const members = negated ? characters.slice(1) : characters;
  const ranges: CharacterClass["ranges"] = [];
  for (let at = 0; at < members.length; at++) {
    const from = members[at] as string;
    const isRange = members[at + 1] === "-" && at + 2 < members.length;
    const to = isRange ? (members[at + 2] as string) : from;
    if (codeOf(from) > codeOf(to)) throw new PatternFault(`the range ${from}-${to} is the wrong way round`);
    ranges.push([from, to]);
    if (isRange) at += 2;
  }
  return { negated, ranges };
}

/** What stands between two stars: a text, or characters of which some are open. */
type Run = string | Token[];

function compileRun(tokens: Token[]): Run {
  return tokens.every((token) => typeof token === "string") ? tokens.join("") : tokens;
}

/** The first run is held to the beginning, the last one to the end, the others follow each other as they come. */
function matchRuns(runs: Run[], text: string): boolean {
  if (runs.every((run) => typeof run === "string")) return matchTexts(runs, text);
  const characters = [...text];
  return matchSequence(
    runs.map((run) => (typeof run === "string" ? [...run] : run)),
    characters,
    matchesToken,
  );
}

function matchTexts(runs: string[], text: string): boolean {
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

function matchComponents(runs: Pattern[][], components: string[]): boolean {
  // Most paths differ in a plain word, which is compared sooner than a pattern.
  const first = runs[0] as Pattern[];
  for (let at = 0; at < first.length; at++) {
    const literal = first[at]?.literal;
    if (literal !== undefined && literal !== components[at]) return false;
  }
  return matchSequence(runs, components, (pattern, component) => pattern.matches(component));
}

function matchSequence<P, T>(runs: P[][], items: T[], matches: (pattern: P, item: T) => boolean): boolean {
  const fits = (run: P[], at: number): boolean =>
    run.every((pattern, index) => matches(pattern, items[at + index] as T));
  const first = runs[0] as P[];
  if (runs.length === 1) return items.length === first.length && fits(first, 0);
  const last = runs.at(-1) as P[];
  const end = items.length - last.length;
  if (end < first.length || !fits(first, 0) || !fits(last, end)) return false;
  let at = first.length;
  for (const run of runs.slice(1, -1)) {
    while (at + run.length <= end && !fits(run, at)) at++;
    if (at + run.length > end) return false;
    at += run.length;
  }
  return true;
}

function matchesToken(token: Token, character: string): boolean {
  if (typeof token === "string") return token === character;
  if (typeof token === "symbol") return true;
  const code = codeOf(character);
  return token.negated !== token.ranges.some(([from, to]) => code >= codeOf(from) && code <= codeOf(to));
}

function codeOf(character: string): number {
  return character.codePointAt(0) as number;
}

let lastSplit: { path: string; parts: string[] } = { path: "", parts: [] };

/** Without empty components: `/a//b/` is `/a/b`. Keeps the last one: a path is compared with one pattern after another. */
function splitPath(path: string): string[] {
  if (path !== lastSplit.path) {
    lastSplit = { path, parts: path.split("/").filter((part) => part !== "" && part !== ".") };
  }
  return lastSplit.parts;
}

function splitAt<T>(items: T[], isSeparator: (item: T) => boolean): T[][] {
  const runs: T[][] = [[]];
  for (const item of items) {
    if (isSeparator(item)) runs.push([]);
    else runs.at(-1)?.push(item);
  }
  return runs;
}
