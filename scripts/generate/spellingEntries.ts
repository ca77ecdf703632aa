import { type Spelling, spellingsOf } from "../../src/limits/spellings.ts";
import { bold, prose, tagged } from "./roff.ts";

/** Explains the notations of the values with these placeholders. Returns nothing if no value has several. */
export function spellingEntries(placeholders: readonly string[]): string[] {
  const kinds = Map.groupBy(spellingsOf(placeholders), ({ value }) => value);
  return [...kinds].flatMap(([value, spellings]) =>
    tagged(bold(value), prose(spellings.map(text).join(". "))),
  );
}

function text({ examples, meaning }: Spelling): string {
  return `${examples.join(", ")}: ${meaning}`;
}
