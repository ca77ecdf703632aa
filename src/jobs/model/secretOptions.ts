import { isSecretName, PROGRAM_OPTIONS } from "./secretNames.ts";

/** Words that end the options of a program: in a shell, and in gst-launch-1.0. */
const SEPARATORS = new Set(["|", "||", "&&", ";", "!"]);
const NAME = /^[\w.%$-]+$/;

/** Returns true for a word that is a name as a whole, and that of a secret. */
export function isNameOfSecret(word: string): boolean {
  return NAME.test(word) && isSecretName(word);
}

/** Returns true for an option whose value is secret. */
export function isSecretOption(word: string): boolean {
  if (word[0] !== "-") return word.length === 6 && word.toLowerCase() === "bearer";
  // FFmpeg appends the stream to the name: -decryption_key:v
  const [name = ""] = word.split(":", 1);
  return /^--?[A-Za-z][\w.-]*$/.test(name) && isSecretName(name);
}

/** curl -H "X-Any: x", yt-dlp --add-header X-Any:x, streamlink --http-header X-Any=x */
const HEADER_OPTION = /^(?:-H|--(?:add-|http-)?header)$/;
const HEADER_NAME = /^[A-Za-z][\w-]*\s*[:=]\s*/;

/** Reads the words of a command one after the other, as the value of an option can be the next word. */
export class Words {
  #options: RegExp | undefined;
  #isValue = false;
  #isHeader = false;
  #isScript = false;

  /** Returns the index at which the secret in a word starts; `undefined` where the word as a whole has none. */
  secretFrom(word: string): number | undefined {
    const isValue = this.#isValue;
    const isScript = this.#isScript && /\s/.test(word);
    const program = word.slice(word.lastIndexOf("/") + 1);
    if (Object.hasOwn(PROGRAM_OPTIONS, program)) this.#options = PROGRAM_OPTIONS[program];
    else if (SEPARATORS.has(word)) this.#options = undefined;
    const attached = this.#options?.exec(word)?.[0].length;
    const header = this.#isHeader ? HEADER_NAME.exec(word)?.[0].length : undefined;
    this.#isHeader = word[0] === "-" && HEADER_OPTION.test(word);
    this.#isValue = (attached === word.length && !word.endsWith("=")) || isSecretOption(word);
    this.#isScript = word[0] === "-" && /^-[a-z]{0,8}c$/.test(word);
    // The value of an option can itself be the name of one: two options without a value, or a missing value.
    if (isValue) return 0;
    if (attached !== undefined || header !== undefined) return attached ?? header;
    const equals = word.indexOf("=");
    const name = word.slice(0, equals);
    return equals > 0 && !isScript && isNameOfSecret(name) ? equals + 1 : undefined;
  }
}
