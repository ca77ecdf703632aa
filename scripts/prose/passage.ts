/**
 * A stretch of prose in a file: one comment, paragraph or message. `text` has the length and line breaks of
 * the original, with spaces for everything that is not prose, so that a place in it is a place in the file.
 */
export interface Passage {
  /** The line of the file that `text` starts in, from 1. */
  line: number;
  text: string;
}

const URL = /\b[a-z][a-z\d+.-]*:\/\/[^\s)>\]"'`]+/gi;
const CODE_SPAN = /(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g;

export function blank(text: string, pattern: RegExp): string {
  return text.replace(pattern, (match) => match.replace(/[^\n]/g, " "));
}

/** Blanks URLs and code spans. */
export function blankCode(text: string): string {
  return blank(blank(text, CODE_SPAN), URL);
}

/** Returns the 1-based line of an offset in `text`, which starts in line `first`. */
export function lineAt(text: string, offset: number, first = 1): number {
  return first + (text.slice(0, offset).match(/\n/g)?.length ?? 0);
}
