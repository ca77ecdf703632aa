import { blank, blankCode, lineAt, type Passage } from "./passage.ts";

/**
 * The syntax by which a number sign starts a comment: in "shell" the start of a word outside quotes and
 * here-documents, in "yaml" the same outside quoted values, in "lines" (unit files, Debian's control files)
 * the start of a line.
 */
export type HashSyntax = "shell" | "yaml" | "lines";

export function readHashComments(source: string, syntax: HashSyntax): Passage[] {
  const passages: { start: number; end: number }[] = [];
  for (const [start, end] of FINDERS[syntax](source)) {
    const last = passages.at(-1);
    if (last !== undefined && /^\n[ \t]*$/.test(source.slice(last.end, start))) last.end = end;
    else if (!source.startsWith("#!", start)) passages.push({ start, end });
  }
  return passages.map(({ start, end }) => ({
    line: lineAt(source, start),
    text: blankCode(blank(source.slice(start, end), /^[ \t]*[#;]+/gm)),
  }));
}

type Range = [start: number, end: number];

const FINDERS: Record<HashSyntax, (source: string) => Range[]> = {
  shell: findInShell,
  yaml: (source) => findByLine(source, /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"']\S*(?=\s)|\s+)*?(?<!\S)(#.*)$/),
  lines: (source) => findByLine(source, /^[ \t]*([#;].*)$/),
};

function findByLine(source: string, pattern: RegExp): Range[] {
  const ranges: Range[] = [];
  let start = 0;
  for (const line of source.split("\n")) {
    const comment = pattern.exec(line)?.[1];
    if (comment !== undefined) ranges.push([start + line.length - comment.length, start + line.length]);
    start += line.length + 1;
  }
  return ranges;
}

function findInShell(source: string): Range[] {
  const ranges: Range[] = [];
  const delimiters: string[] = [];
  // An escaped character, a quoted part, the start of a here-document, a comment, or any other character.
  const part =
    /\\[\s\S]|'[^']*'|"(?:[^"\\]|\\[\s\S])*"|<<<|<<-?[ \t]*(?<quote>["']?)(?<delimiter>[a-z_]\w*)\k<quote>|(?<comment>(?<![^\s;&|()])#.*)|[\s\S]/gi;
  for (let match = part.exec(source); match !== null; match = part.exec(source)) {
    const { comment, delimiter } = match.groups ?? {};
    if (comment !== undefined) ranges.push([match.index, part.lastIndex]);
    if (delimiter !== undefined) delimiters.push(delimiter);
    if (match[0] !== "\n") continue;
    for (const end of delimiters.splice(0)) {
      const close = new RegExp(`^[ \\t]*${end}$`, "m").exec(source.slice(part.lastIndex));
      // A left shift, `$((1 << bits))`, looks the same and has no closing line.
      if (close !== null) part.lastIndex += close.index + close[0].length;
    }
  }
  return ranges;
}
