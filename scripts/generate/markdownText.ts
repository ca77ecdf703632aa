import { bold, example, prose, tagged } from "./roff.ts";

/** Returns the section of a document in docs/ below a heading. Throws if the heading is missing. */
export function sectionOf(document: string, heading: string): string {
  const [, section] = document.split(`\n## ${heading}\n`);
  if (section === undefined)
    throw new Error(`section "${heading}" is missing, and a manual page is made from it`);
  return section.split("\n## ")[0] as string;
}

/** Converts paragraphs, numbered lists and code blocks to man(7). Throws for any other Markdown. */
export function markdownLines(text: string): string[] {
  return text.split(/^```\w*\n/m).flatMap((part, index) => {
    if (index % 2 === 1) return example(part.trimEnd());
    const blocks = part.split(/\n{2,}/).map((block) => block.trim());
    return blocks.filter((block) => block !== "").flatMap(blockLines);
  });
}

function blockLines(block: string): string[] {
  if (/^([|#<>-]|\*\*.*\*\*$)/.test(block))
    throw new Error(`cannot convert this Markdown to a manual page:\n${block}`);
  const items = block.split(/^\d+\. /m);
  if (items.length === 1) return [".PP", inline(block)];
  return items.slice(1).flatMap((item, index) => tagged(`${index + 1}.`, inline(item)));
}

/** Converts text of one paragraph, with code in backquotes. */
export function inline(text: string): string {
  const parts = text
    .trim()
    .replaceAll(/\s*\n\s*/g, " ")
    .split("`");
  return parts
    .map((part, index) => (index % 2 === 1 ? bold(part) : prose(part.replaceAll("**", ""))))
    .join("");
}
