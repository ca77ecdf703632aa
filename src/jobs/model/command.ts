import type { JobFields } from "./job.ts";

/** The part of a command that is recorded. Longer ones fill the ledger, and are of no use to a reader. */
export const MAX_COMMAND_BYTES = 8192;

const ENCODER = new TextEncoder();

/**
 * Returns a command as it is recorded: its words up to `MAX_COMMAND_BYTES`, each with the NUL that ends it. `isCut`: there
 * were more words than these. The last word is cut between two characters.
 */
export function recordedCommand(
  words: readonly string[],
  isCut = false,
): Pick<JobFields, "command" | "commandCut"> {
  let left = MAX_COMMAND_BYTES;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    const bytes = ENCODER.encode(word).length + 1;
    if (bytes <= left) {
      left -= bytes;
      continue;
    }
    const start = new Uint8Array(Math.max(left - 1, 0));
    const { read } = ENCODER.encodeInto(word, start);
    return {
      command: [...words.slice(0, index), ...(read > 0 ? [word.slice(0, read)] : [])],
      commandCut: true,
    };
  }
  return { command: words, commandCut: isCut };
}
