/**
 * Characters that a terminal obeys or that are invisible: control characters (C0, DEL, C1), format characters such as the
 * bidirectional controls and zero-width joiners, line and paragraph separators, and lone surrogates, which have no UTF-8.
 */
const invisible = (): RegExp => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const invisibleButNewline = (): RegExp => /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Returns a text with every character escaped that could forge another line or change a terminal: `\u001b`, as in JSON.
 * A process chooses its own name, arguments and environment, and a user the names of files.
 */
export function oneLine(text: string): string {
  return isPrintable(text) ? text : text.replace(invisible(), escapeUnits);
}

/** Does the same for a text of several lines, or of JSON, whose newlines separate lines that are safe themselves. */
export function escapeLines(text: string): string {
  return isPrintable(text) ? text : text.replace(invisibleButNewline(), escapeUnits);
}

export function hasInvisible(text: string): boolean {
  return text.search(invisible()) >= 0;
}

/** Returns whether a text is printable ASCII, as most are. Compiling the patterns above takes 0.3 ms, which a start should not pay. */
function isPrintable(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || unit > 0x7e) return false;
  }
  return true;
}

/** Escapes each UTF-16 code unit, which is what JSON takes too: U+E0001 becomes `\udb40\udc01`. */
function escapeUnits(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");
}
