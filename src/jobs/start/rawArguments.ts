const REPLACEMENT = "\u{fffd}";

/** Whether decoding may have lost bytes of these words. */
export function mayHaveLostBytes(words: string[]): boolean {
  return words.some((word) => word.includes(REPLACEMENT));
}

/**
 * A command line that passes on words which are not UTF-8, byte for byte: the runtime's spawn takes strings only, so
 * a shell makes the bytes from octal escapes and then becomes the command. Used for such words alone, because a shell
 * in between costs time, and some shells add to the environment.
 */
export function viaShell(path: string, argv: Uint8Array[]): string[] {
  // The trailing letter keeps newlines at the end of a word, which $(…) would cut off.
  const assignments = argv
    .slice(1)
    .map((word, index) => `a${index}=$(printf '${octal(word)}x'); a${index}=\${a${index}%x}`);
  const words = argv.slice(1).map((_, index) => `"$a${index}"`);
  return ["/bin/sh", "-c", [...assignments, `exec "$0" ${words.join(" ")}`].join("\n"), path];
}

function octal(word: Uint8Array): string {
  return [...word].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
