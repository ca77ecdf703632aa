import { blank, blankCode, lineAt, type Passage } from "./passage.ts";

const FENCE = /^[ \t>]*(?:[-*+]|\d+[.)])?[ \t]*(`{3,}(?!.*`)|~{3,})/;
const LIST_ITEM = /^[ \t>]*(?:[-*+]|\d+[.)])[ \t]/;
/** Lines that are a passage on their own. */
const SINGLE = /^[ \t>]*(?:#{1,6}[ \t]|\|)/;
const INDENTED = /^(?: {4}|\t)/;
/** Marks of quoted lines, targets and definitions of links, tags. */
const MARKUP = /^[ \t]*>+|(?<=\])\([^)\s]*\)|^[ \t]*\[[^\]]+\]:[ \t]*\S+|<\/?[a-z][^>]*>/gim;

/** Reads the paragraphs, headings, list items and table rows of a Markdown file, without its code blocks. */
export function readMarkdown(source: string): Passage[] {
  const passages: { start: number; end: number }[] = [];
  let fence: string | undefined;
  /** Set while the next line may continue the last passage. */
  let open = false;
  let inList = false;
  let start = 0;
  for (const line of source.split("\n")) {
    const mark = FENCE.exec(line)?.[1];
    const last = passages.at(-1);
    const range = { start, end: start + line.length };
    start = range.end + 1;
    if (fence !== undefined) {
      const closes = line.trim().replace(/^[> \t]+/, "");
      if (closes.startsWith(fence) && /^(?:`+|~+)$/.test(closes)) fence = undefined;
    } else if (mark !== undefined) {
      fence = mark;
      open = false;
    } else if (/^[ \t>]*$/.test(line)) open = false;
    else if (!open && !inList && INDENTED.test(line)) continue;
    else if (SINGLE.test(line)) {
      passages.push(range);
      open = false;
      inList = false;
    } else if (LIST_ITEM.test(line) || !open || last === undefined) {
      passages.push(range);
      inList = LIST_ITEM.test(line) || (inList && /^[ \t]/.test(line));
      open = true;
    } else last.end = range.end;
  }
  return passages.map(({ start: from, end }) => ({
    line: lineAt(source, from),
    text: blankCode(blank(source.slice(from, end), MARKUP)),
  }));
}
