import { type Spelling, spellingsOf } from "../../src/limits/grammar.ts";
import { bold, prose, tagged } from "./roff.ts";

/** How the values behind these placeholders may be written; nothing where none is of a kind that can vary. */
export function spellingEntries(placeholders: readonly string[]): string[] {
  const kinds = Map.groupBy(spellingsOf(placeholders), ({ value }) => value);
  return [...kinds].flatMap(([value, spellings]) =>
    tagged(bold(value), prose(spellings.map(text).join(". "))),
  );
}

function text({ examples, meaning }: Spelling): string {
  return `${examples.join(", ")}: ${meaning}`;
}
