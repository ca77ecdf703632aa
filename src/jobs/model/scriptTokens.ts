/** Backslashes before a quote. Each level of quotes needs twice as many as the level above, and one. */
const MAX_BACKSLASHES = 31;

/** A part of a text. `quote`: the opening quote of a quoted text, with the backslashes before it. */
export interface Token {
  kind: "space" | "quoted" | "text";
  text: string;
  quote: string;
}

/** A quote without a partner hides where a secret ends. */
export function hasQuote(text: string): boolean {
  return /["'`]/.test(text);
}

const PLAIN = /[^\0- "'`\\]+/y;

/** Divides a text into spaces, quoted texts and what is between them. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  /** Quotes that have no partner in the rest of the text, so that none is searched twice. */
  const unpaired = new Set<string>();
  let from = 0;
  let index = 0;
  const push = (kind: Token["kind"], end: number, quote = "") => {
    if (end > from) tokens.push({ kind, text: text.slice(from, end), quote });
    from = end;
  };
  while (index < text.length) {
    PLAIN.lastIndex = index;
    if (PLAIN.test(text)) index = PLAIN.lastIndex;
    if (index === text.length) break;
    const quote = quoteAt(text, index);
    if (isSpace(text, index)) {
      push("text", index);
      while (isSpace(text, index)) index++;
      push("space", index);
    } else if (quote !== "") {
      const end = unpaired.has(quote) ? -1 : endOfQuoted(text, index + quote.length, quote);
      if (end >= 0) {
        push("text", index);
        push("quoted", end, quote);
      } else unpaired.add(quote);
      index = end >= 0 ? end : index + quote.length;
    } else {
      // A backslash makes a space a part of the word.
      index += text[index] === "\\" && isSpace(text, index + 1) ? 2 : 1;
    }
  }
  push("text", text.length);
  return tokens;
}

/** Control characters separate too. Returns false after the end. */
function isSpace(text: string, index: number): boolean {
  return text.charCodeAt(index) <= 0x20;
}

/** Returns the quote that starts here, with the backslashes before it, or "". */
function quoteAt(text: string, start: number): string {
  let index = start;
  if (text[index] === "\\" && text[index - 1] === "\\") return "";
  while (text[index] === "\\" && index - start < MAX_BACKSLASHES) index++;
  return /["'`]/.test(text[index] ?? "") ? text.slice(start, index + 1) : "";
}

/** Returns the index after the closing quote, which has as many backslashes as the opening one; -1 without one. */
function endOfQuoted(text: string, from: number, quote: string): number {
  for (let at = text.indexOf(quote, from); at >= 0; at = text.indexOf(quote, at + quote.length)) {
    if (text[at - 1] !== "\\") return at + quote.length;
  }
  return -1;
}
