import { blank, blankCode, lineAt, type Passage } from "./passage.ts";
import { type Token, tokenize } from "./tokens.ts";

const SQL =
  /^\s*(?:ALTER|ATTACH|BEGIN|COMMIT|CREATE|DELETE|DROP|INSERT|PRAGMA|RELEASE|REPLACE|ROLLBACK|SAVEPOINT|SELECT|UPDATE|VACUUM|WITH)\b|\b(?:FROM|WHERE|SET|VALUES|ORDER BY|GROUP BY|AND|OR)\b.*[=?(]/;
const SQL_COMMENT_LINES = /(?:^[ \t]*--.*\n?)+/gm;
const ESCAPE = /\\(?:u\{[\da-f]*\}|u[\da-f]{4}|x[\da-f]{2}|[\s\S])/gi;
const URL_OR_PATH = /(?<!\S)(?:[a-z][a-z\d+.-]*:\/)?\/\S+/gi;
const COMMENT_MARKS = /^[ \t]*(?:\/\/+|\/\*+|\*+(?!\/))|\*+\/$/gm;

/** Reads the comments of a TypeScript file; `isDoc` is true if a comment starts with two stars. */
export function readComments(source: string): (Passage & { isDoc: boolean })[] {
  const blocks: { start: number; end: number; kind: Token["kind"] }[] = [];
  const statements: Passage[] = [];
  for (const token of tokenize(source)) {
    const last = blocks.at(-1);
    if (!token.kind.endsWith("comment")) {
      statements.push(...sqlComments(source, token));
    } else if (
      last?.kind === "line-comment" &&
      token.kind === "line-comment" &&
      /^\n[ \t]*$/.test(source.slice(last.end, token.start))
    ) {
      last.end = token.end;
    } else blocks.push({ start: token.start, end: token.end, kind: token.kind });
  }
  return [
    ...blocks.map(({ start, end }) => {
      const text = source.slice(start, end);
      const isDoc = /^\/\*\*(?!\/)/.test(text);
      return { line: lineAt(source, start), text: blankCode(blank(text, COMMENT_MARKS)), isDoc };
    }),
    ...statements.map((passage) => ({ ...passage, isDoc: false })),
  ];
}

/**
 * Reads the string and template literals that are prose: at least three words, two of them outside `${…}`,
 * and no SQL. Literals that a plus sign joins are one passage.
 */
export function readMessages(source: string): Passage[] {
  const passages: { start: number; end: number; text: string; holes: number }[] = [];
  for (const token of tokenize(source)) {
    if (token.kind.endsWith("comment")) continue;
    const text = literalText(source, token);
    const holes = token.holes.length;
    const last = passages.at(-1);
    const between = source.slice(last?.end, token.start);
    if (last !== undefined && /^\s*\+\s*$/.test(between)) {
      last.text += between.replace(/[^\n]/g, " ") + text;
      last.end = token.end;
      last.holes += holes;
    } else passages.push({ start: token.start, end: token.end, text, holes });
  }
  return passages
    .filter(({ text, holes }) => !SQL.test(text) && isProse(text, holes))
    .map(({ start, text }) => ({ line: lineAt(source, start), text: blank(text, URL_OR_PATH) }));
}

function isProse(text: string, holes: number): boolean {
  const words = text.split(/\s+/).filter((word) => /\p{L}/u.test(word)).length;
  return words >= 2 && words + holes >= 3;
}

/** Returns the literal without its quotes, escapes and `${…}`. */
function literalText(source: string, { start, end, holes }: Token): string {
  let text = source.slice(start, end);
  for (const hole of holes) {
    const inside = text.slice(hole.start - start, hole.end - start).replace(/[^\n]/g, " ");
    text = text.slice(0, hole.start - start) + inside + text.slice(hole.end - start);
  }
  return blank(` ${text.slice(1, -1)} `, ESCAPE);
}

/** Returns the comments inside an SQL statement in a literal. */
function sqlComments(source: string, token: Token): Passage[] {
  const text = literalText(source, token);
  if (!SQL.test(text)) return [];
  return [...text.matchAll(SQL_COMMENT_LINES)].map((match) => ({
    line: lineAt(source, token.start + match.index),
    text: blankCode(blank(match[0], /^[ \t]*--/gm)),
  }));
}
