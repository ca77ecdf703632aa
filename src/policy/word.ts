import { ValueFault } from "../limits/units.ts";

/** Names and texts that an operator chooses for a job, in options and policy files alike. */

const MAX_WORD_LENGTH = 128;
export const WORD = `text of 1 to ${MAX_WORD_LENGTH} characters on one line`;

/** Throws ValueFault. */
export function parseWord(text: string): string {
  if (text.trim() === "") throw new ValueFault("is empty");
  if (text.length > MAX_WORD_LENGTH) throw new ValueFault(`has ${text.length} characters`);
  if (/\p{Cc}/u.test(text)) throw new ValueFault("contains a control character");
  return text;
}
