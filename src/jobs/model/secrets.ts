import type { JobFields } from "./job.ts";
import { Words } from "./secretOptions.ts";
import { MASK, maskArgument, Script, withPlainSlashes } from "./textMasking.ts";

/**
 * Masks secrets in command lines before they are shown, logged or exported. Processes choose the text, so every loop
 * takes time in proportion to its length, and nothing throws. A text that is masked once stays the same when it is
 * masked again.
 */

/** A mask can make a text that reads differently. Natural ones are stable after one pass. */
const MAX_PASSES = 6;

/** Returns the words of a command with each secret in them replaced by `***`. */
export function maskSecrets(argv: readonly string[]): string[] {
  let words = [...argv];
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const state = new Words();
    const masked = words.map((word) => maskArgument(word, state, 0));
    if (masked.every((word, index) => word === words[index])) return words;
    words = masked;
  }
  return words.map(() => MASK);
}

/** Does the same for a message or another text. */
export function maskText(text: string): string {
  let shown = text;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const masked = withPlainSlashes(shown, (plain) => new Script(0).mask(plain));
    if (masked === shown) return shown;
    shown = masked;
  }
  return MASK;
}

/** Returns the value of an environment variable, masked where its name or the value itself shows a secret. */
export function maskVariable(name: string, value: string): string {
  return maskSecrets([`${name}=${value}`])
    .join("")
    .slice(name.length + 1);
}

/** The command of a job and its working directory, as readers see them. */
export interface ShownCommand extends Pick<JobFields, "command" | "cwd"> {
  readonly isMasked: boolean;
}

export function shownCommand({ command, cwd }: Pick<JobFields, "command" | "cwd">): ShownCommand {
  const shown = { command: maskSecrets(command), cwd: cwd === null ? null : maskText(cwd) };
  const isMasked = shown.cwd !== cwd || shown.command.some((word, index) => word !== command[index]);
  return { ...shown, isMasked };
}

/** Returns the command with its secrets, for the readers who may see them. */
export function trueCommand({ command, cwd }: Pick<JobFields, "command" | "cwd">): ShownCommand {
  return { command, cwd, isMasked: false };
}
