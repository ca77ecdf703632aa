/** Returns true if decoding may have lost bytes of these words: it puts U+FFFD in their place. */
export function mayHaveLostBytes(words: readonly string[]): boolean {
  for (const word of words) if (word.includes("\u{fffd}")) return true;
  return false;
}

/**
 * Returns a command line that passes on words byte for byte, also if they are not UTF-8: Bun.spawn accepts only strings,
 * so a shell makes the bytes from octal escapes and then executes the command. Use it for such words only, because a shell
 * takes time, and some shells add to the environment.
 */
export function viaShell(path: string, argv: Uint8Array[]): string[] {
  const assignments = argv.slice(1).map((word, index) => {
    const octal = [...word].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
    // The trailing letter protects newlines at the end of a word, which $(…) would remove.
    return `a${index}=$(printf '${octal}x'); a${index}=\${a${index}%x}`;
  });
  const words = assignments.map((_, index) => `"$a${index}"`);
  return ["/bin/sh", "-c", [...assignments, `exec "$0" ${words.join(" ")}`].join("\n"), path];
}
