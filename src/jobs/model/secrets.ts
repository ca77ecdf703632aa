import type { JobFields } from "./job.ts";
import { hasLineValue, isSecretName, isSecretParameter, PROGRAM_OPTIONS } from "./secretNames.ts";

/**
 * Masks secrets in command lines before they are shown, logged or exported. Processes choose the text, so every loop
 * takes time in proportion to its length, and nothing throws. A text that is masked once stays the same when it is
 * masked again.
 */

const MASK = "***";

/** How deep quotes in quotes and escapes in escapes are read. Text below is masked as a whole. */
const MAX_DEPTH = 6;
/** Backslashes before a quote. Each level of quotes needs twice as many as the level above, and one. */
const MAX_BACKSLASHES = 31;
const MAX_SCHEME_LENGTH = 32;
const MAX_NAME_LENGTH = 64;

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

/** The characters without which a word has no secret that its place in the command does not show. */
const SUSPICIOUS = /[\0- "'`%:=@]/;

function maskArgument(word: string, words: Words, depth: number): string {
  const from = words.secretFrom(word);
  if (from !== undefined) return maskFrom(word, from);
  if (!SUSPICIOUS.test(word)) return word;
  return withPlainSlashes(word, (plain) => new Script(depth).mask(plain));
}

function maskFrom(word: string, from: number): string {
  return word.slice(0, from) + (from < word.length ? MASK : "");
}

/** Masks JSON with escaped slashes, `rtmp:\/\/host\/app\/key`, as if they were not escaped. */
function withPlainSlashes(text: string, mask: (text: string) => string): string {
  if (!text.includes(":\\/\\/")) return mask(text);
  const plain = text.replaceAll("\\/", "/");
  const masked = mask(plain);
  return masked === plain ? text : masked.replaceAll("/", "\\/");
}

/** Words that end the options of a program: in a shell, and in gst-launch-1.0. */
const SEPARATORS = new Set(["|", "||", "&&", ";", "!"]);
const NAME = /^[\w.%$-]+$/;

function isSecretOption(word: string): boolean {
  if (word[0] !== "-") return word.length === 6 && word.toLowerCase() === "bearer";
  // FFmpeg appends the stream to the name: -decryption_key:v
  const [name = ""] = word.split(":", 1);
  return /^--?[A-Za-z][\w.-]*$/.test(name) && isSecretName(name);
}

/** curl -H "X-Any: x", yt-dlp --add-header X-Any:x, streamlink --http-header X-Any=x */
const HEADER_OPTION = /^(?:-H|--(?:add-|http-)?header)$/;
const HEADER_NAME = /^[A-Za-z][\w-]*\s*[:=]\s*/;

/** Reads the words of a command one after the other, as the value of an option can be the next word. */
class Words {
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
    return equals > 0 && !isScript && NAME.test(name) && isSecretName(name) ? equals + 1 : undefined;
  }
}

/** A part of a text. `quote`: the opening quote of a quoted text, with the backslashes before it. */
interface Token {
  kind: "space" | "quoted" | "text";
  text: string;
  quote: string;
}

/**
 * The part of a text that is secret, seen from the end of a token. `named`: the next value, if a colon or an equals sign
 * comes first. `value`: the next value. `adjacent`: the next token, unless it is a space. `tail`: the rest of the word,
 * unless a separator comes first. `word`, `line` and `all`: everything up to the end of these.
 */
type Expected = "nothing" | "named" | "value" | "adjacent" | "tail" | "word" | "line" | "all";

/** Masks a text with spaces or quotes: a shell script, JSON, headers, the properties of an RTMP library. */
class Script {
  readonly #depth: number;
  readonly #words = new Words();
  #shown = "";
  #expected: Expected = "nothing";
  /** The mask of the secret that is being read is written. */
  #hasMask = false;
  #isWordStart = true;

  constructor(depth: number) {
    this.#depth = depth;
  }

  mask(text: string): string {
    if (this.#depth > MAX_DEPTH) return text === "" ? "" : MASK;
    for (const token of tokensOf(text)) this.#add(token);
    return this.#shown;
  }

  #add(token: Token): void {
    if (token.kind === "space") this.#addSpace(token.text);
    else if (token.kind === "quoted") this.#addQuoted(token);
    else this.#addText(token.text);
    this.#isWordStart = token.kind === "space";
  }

  #addSpace(space: string): void {
    const isSecret = this.#expected === "all" || (this.#expected === "line" && !/[\r\n]/.test(space));
    if (isSecret && this.#hasMask) return;
    this.#shown += space;
    if (!isSecret && this.#expected !== "value" && this.#expected !== "named") this.#expect("nothing");
  }

  #addQuoted({ text, quote }: Token): void {
    if (this.#isInSecret()) {
      this.#showMask();
      return;
    }
    const inner = text.slice(quote.length, text.length - quote.length);
    const isTail = this.#expected === "tail";
    const isSecret = isTail || this.#expected === "value" || this.#expected === "adjacent";
    const from = this.#isWordStart ? this.#words.secretFrom(inner) : undefined;
    const script = new Script(this.#depth + 1);
    const masked =
      isSecret || from !== undefined ? maskFrom(inner, isSecret ? 0 : (from ?? 0)) : script.mask(inner);
    this.#shown += quote + masked + quote;
    if (isTail || from === 0) this.#expect("word", true);
    else if (isSecretOption(inner)) this.#expect("value");
    else if (NAME.test(inner) && isSecretName(inner)) this.#expect("named");
    else this.#expect(script.#isOpen() ? "tail" : "nothing", script.#hasMask);
  }

  /** Returns true for a text whose last secret can continue after its closing quote: "rtmp://host/app/"key */
  #isOpen(): boolean {
    return this.#isInSecret() || this.#expected === "tail" || this.#expected === "adjacent";
  }

  #addText(text: string): void {
    if (this.#expected === "tail" && !/^[,:;)\]}|&>]/.test(text)) this.#expect("word", this.#hasMask);
    if (this.#isInSecret()) this.#addSecret(text);
    else if (this.#expected === "value" || (this.#expected === "named" && /^[:=]/.test(text)))
      this.#addValue(text);
    else {
      const from = this.#isWordStart ? this.#words.secretFrom(text) : undefined;
      if (from === undefined) this.#addWord(text);
      else {
        this.#shown += maskFrom(text, from);
        this.#expect(hasQuote(text.slice(from)) ? "all" : "word", from < text.length);
      }
    }
  }

  #addSecret(text: string): void {
    const end = this.#expected === "line" ? lineEnd(text, 0) : text.length;
    this.#showMask();
    if (end < text.length) this.#addWord(text.slice(end));
  }

  /** {"password": "x"}, {"port":5}, ["-headers", "x"] */
  #addValue(text: string): void {
    const separator = /^[:=>,]*/.exec(text)?.[0] ?? "";
    const value = text.slice(separator.length);
    this.#shown += separator + maskFrom(value, 0);
    if (value === "") this.#expect("value");
    else this.#expect(hasQuote(value) ? "all" : "nothing", true);
  }

  #addWord(word: string): void {
    const { text, expected, hasMask } = maskWord(word, this.#depth);
    this.#shown += text;
    this.#expect(expected, hasMask);
  }

  #expect(expected: Expected, hasMask = false): void {
    this.#expected = expected;
    this.#hasMask = hasMask;
  }

  #isInSecret(): boolean {
    return this.#expected === "word" || this.#expected === "line" || this.#expected === "all";
  }

  #showMask(): void {
    if (!this.#hasMask) this.#shown += MASK;
    this.#hasMask = true;
  }
}

/** A quote without a partner hides where a secret ends. */
function hasQuote(text: string): boolean {
  return /["'`]/.test(text);
}

const PLAIN = /[^\0- "'`\\]+/y;

function tokensOf(text: string): Token[] {
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

/** The characters that end a value, by the character before its name. */
const ENDS_OF_VALUE: Readonly<Record<string, string>> = {
  ":": ":]|",
  "[": ":]|",
  ",": ",]|}",
  ";": ";|",
  "|": "|",
  "&": "&",
  "?": "&",
  "#": "&",
  "{": ",}",
  "(": ",)",
  "/": "/?&#",
  "~": "~/&",
};

/** A word with masks. `expected`: the part of the text after it that is secret. `hasMask`: its mask is written. */
interface MaskedWord {
  text: string;
  expected: Expected;
  hasMask: boolean;
}

/** Masks a word: URLs, pairs such as `passphrase=x`, the start of a header, `user:password@host`. */
function maskWord(word: string, depth: number): MaskedWord {
  let shown = "";
  let from = 0;
  let loginColon = -1;
  let tail: Pick<MaskedWord, "expected" | "hasMask"> = { expected: "nothing", hasMask: false };
  const showTo = (end: number) => {
    shown += maskEscaped(word.slice(from, end), depth);
    from = end;
  };
  for (let index = nextMark(word, 0); index < word.length; index = nextMark(word, index + 1)) {
    const character = word[index] as string;
    if ("/|[]()".includes(character)) loginColon = -1;
    else if (character === ":" && isUrlAt(word, index, from)) {
      const start = schemeStart(word, index, from);
      const end = urlEnd(word, start, indexAfterSlashes(word, index));
      showTo(start);
      const url = maskUrl(word.slice(start, end), index - start, depth);
      shown += url;
      if (isUrlOpen(word, start, end)) tail = { expected: "tail", hasMask: url.endsWith(MASK) };
      from = end;
      index = end - 1;
      loginColon = -1;
    } else if (character === "=" || character === ":") {
      if (character === ":" && loginColon < 0) loginColon = index;
      const start = nameStart(word, index, from);
      const name = word.slice(start, index);
      const isHeader = character === ":";
      if (!isSecretName(name) || (isHeader && !isHeaderName(name, word[start - 1]))) continue;
      showTo(index + 1);
      const isLine = isHeader || hasLineValue(name);
      const end = isLine ? lineEnd(word, from) : valueEnd(word, from, word[start - 1]);
      const hasMask = end > from;
      if (hasMask) shown += MASK;
      if (end === word.length) return { text: shown, expected: isLine ? "line" : "adjacent", hasMask };
      from = end;
      index = end - 1;
      loginColon = -1;
    } else if (
      character === "@" &&
      loginColon > from &&
      index > loginColon + 1 &&
      isHostAt(word, index + 1)
    ) {
      showTo(loginColon + 1);
      shown += MASK;
      from = index;
      loginColon = -1;
    }
  }
  showTo(word.length);
  return { text: shown, ...tail };
}

/** Returns true for a URL that ends with its word, and whose secret can continue in quotes: rtmp://host/app/"key" */
function isUrlOpen(word: string, start: number, end: number): boolean {
  if (word.slice(end) === ":") return true;
  if (end < word.length) return false;
  const name = word[end - 1] === "=" ? word.slice(nameStart(word, end - 1, start), end - 1) : "";
  return IS_STREAM.test(word.slice(start, word.indexOf(":", start))) || isSecretParameter(name);
}

const MARK = /[:=@/|[\]()]/g;

/** Returns the index of the next character that can separate a secret from its name, or that of the end. */
function nextMark(word: string, from: number): number {
  MARK.lastIndex = from;
  return MARK.test(word) ? MARK.lastIndex - 1 : word.length;
}

/** Returns true for the colon of a URL. One slash: the URL was taken for a path, from which `//` is removed. */
function isUrlAt(word: string, colon: number, from: number): boolean {
  if (word[colon + 1] !== "/") return false;
  const scheme = word.slice(schemeStart(word, colon, from), colon);
  return word[colon + 2] === "/" ? scheme !== "" : IS_STREAM.test(scheme);
}

function indexAfterSlashes(word: string, colon: number): number {
  return colon + (word[colon + 2] === "/" ? 3 : 2);
}

/** Returns the index where the scheme of a URL starts, whose colon is at `colon`. */
function schemeStart(word: string, colon: number, from: number): number {
  let start = colon;
  const first = Math.max(from, colon - MAX_SCHEME_LENGTH);
  while (start > first && /[A-Za-z0-9+.-]/.test(word[start - 1] as string)) start--;
  while (start < colon && !/[A-Za-z]/.test(word[start] as string)) start++;
  return start;
}

/** Returns the index where the name before `end` starts. */
function nameStart(word: string, end: number, from: number): number {
  let start = end;
  const first = Math.max(from, end - MAX_NAME_LENGTH);
  while (start > first && /[\w.%$-]/.test(word[start - 1] as string)) start--;
  return start;
}

/** Excludes options of FFmpeg with a stream (-key:v), keys of a policy (match.env.KEY:) and lists (x:key:y). */
function isHeaderName(name: string, before: string | undefined): boolean {
  return /^[A-Za-z][\w-]{4,}$/.test(name) && (before === undefined || "{,(;&\\=\"'`".includes(before));
}

/** Returns the index of `\r` or `\n`, which programs write for the end of a header, or that of the end. */
function lineEnd(word: string, from: number): number {
  const end = word.slice(from).search(/\\[rn]/);
  return end < 0 ? word.length : from + end;
}

function valueEnd(word: string, from: number, before: string | undefined): number {
  const ends = (before !== undefined && ENDS_OF_VALUE[before]) || "";
  for (let index = from; index < word.length; index++) {
    if (word[index] === "\\") index++;
    else if (ends.includes(word[index] as string)) return index;
  }
  return word.length;
}

const HOST = /[A-Za-z0-9[][A-Za-z0-9.:\]-]*(?=$|[/?#,|;])/y;

function isHostAt(word: string, index: number): boolean {
  HOST.lastIndex = index;
  return HOST.test(word);
}

/** RTMP in all its variants: the last part of the path and the query are the stream key. */
const IS_STREAM = /rtmf?p/i;

/** Returns the end of the URL, or the start of another URL in it: after a comma, in a parameter. */
function urlEnd(word: string, start: number, from: number): number {
  const separators = IS_STREAM.test(word.slice(start, from)) ? ",;|=&?[]" : ",;|=&?[]/";
  let end = from;
  for (; end < word.length && !"<>|\"'`".includes(word[end] as string); end++) {
    // The tee muxer of FFmpeg separates outputs by a bar, and escapes one in a URL.
    if (word[end] === "\\" && word[end + 1] === "|") end++;
    if (word[end] !== ":" || !word.startsWith("//", end + 1)) continue;
    const next = schemeStart(word, end, from);
    const before = word[next - 1] as string;
    const name = word.slice(nameStart(word, next - 1, from), next - 1);
    const isValue = before === "=" && isSecretParameter(name);
    if (next === end || next === from || isValue || !separators.includes(before)) continue;
    end = next;
    break;
  }
  // Punctuation of a sentence or a list, and the backslash of a quote.
  while (end > from && "\\:,;.)]}|[".includes(word[end - 1] as string)) end--;
  return end;
}

/** Returns the first index, from `from`, of one of some characters, or that of the end. */
function indexOfAny(text: string, characters: string, from: number): number {
  let index = from;
  while (index < text.length && !characters.includes(text[index] as string)) index++;
  return index;
}

/** Masks the login, the stream key and the secret parameters of a URL, whose first colon is at `colon`. */
function maskUrl(url: string, colon: number, depth: number): string {
  const start = indexAfterSlashes(url, colon);
  if (depth > MAX_DEPTH) return url.slice(0, start) + MASK;
  let end = indexOfAny(url, "/?#", start);
  let login = url.slice(start, end).lastIndexOf("@");
  let host = url.slice(start + login + 1, end);
  if (login < 0 && hasOddPort(host)) {
    // A password with a slash, or a URL that was cut off within its password.
    const at = url.lastIndexOf("@");
    if (at >= end) {
      login = at - start;
      end = indexOfAny(url, "/?#", at);
      host = url.slice(at + 1, end);
    } else host = `${host.slice(0, host.indexOf(":") + 1)}${MASK}`;
  }
  const shownLogin = login < 0 ? "" : `${login === 0 ? "" : MASK}@`;
  const query = indexOfAny(url, "?#", end);
  const isStream = IS_STREAM.test(url.slice(0, colon));
  const path = url.slice(end, query);
  const shownPath = isStream ? maskStreamPath(path, query < url.length) : maskWord(path, depth + 1).text;
  const shownQuery = maskQuery(url.slice(query), isStream, depth + 1);
  return url.slice(0, start) + shownLogin + host + shownPath + shownQuery;
}

/** Returns true for a port that is no number. An address of IPv6 is no host with a port. */
function hasOddPort(host: string): boolean {
  if (/^\[.*\](?::\d*)?$/.test(host) || /^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*$/.test(host)) return false;
  const colon = host.indexOf(":");
  return colon >= 0 && !/^\d{0,5}$/.test(host.slice(colon + 1));
}

/**
 * Masks the stream key: what follows the application, or the application and its instance, as FFmpeg divides a path.
 * `/app/` is an application without a key, `/app` may be a key.
 */
function maskStreamPath(path: string, hasQuery: boolean): string {
  const starts: number[] = [];
  for (let index = 1; index < path.length && starts.length < 3; index++) {
    if (path[index] !== "/" && path[index - 1] === "/") starts.push(index);
  }
  const [first, second, third] = starts;
  if (first === undefined) return path;
  if (second === undefined) return path.endsWith("/") && !hasQuery ? path : path.slice(0, first) + MASK;
  const isName = third === undefined || path.slice(second, third).includes(":");
  return path.slice(0, isName ? second : third) + MASK;
}

function maskQuery(query: string, isStream: boolean, depth: number): string {
  const parameters = query.slice(1).split("&");
  const shown = parameters.map((parameter) => {
    const equals = parameter.indexOf("=");
    const name = parameter.slice(0, Math.max(equals, 0)).split(/[?#;]/).at(-1) ?? "";
    const value = parameter.slice(equals + 1);
    if (value === "") return parameter;
    const isSecret = isStream || isSecretParameter(name) || looksRandom(value);
    return parameter.slice(0, equals + 1) + (isSecret ? MASK : maskWord(value, depth).text);
  });
  return query.slice(0, 1) + shown.join("&");
}

/** Content delivery networks give their signatures many names: `h=9e107d9d372bb682…`, or none. */
function looksRandom(value: string): boolean {
  const isToken = value.length >= 20 && /^[\w%+/=~.-]*$/.test(value) && !/%3A%2F%2F/i.test(value);
  return isToken && /[0-9]/.test(value) && /[A-Za-z]/.test(value) && !/\.[A-Za-z0-9]{1,5}$/.test(value);
}

/** Masks the parts of a text that are percent-encoded: `u=rtmp%3A%2F%2Fhost%2Fapp%2Fkey`, `token%3Dx`. */
function maskEscaped(text: string, depth: number): string {
  if (!text.includes("%")) return text;
  return text
    .split(/([/?&=#:@;,|[\]]+)/)
    .map((part) => {
      const plain = part.replace(/%([2-7][0-9A-Fa-f])/g, (_, code) =>
        String.fromCharCode(Number.parseInt(code, 16)),
      );
      if (plain === part) return part;
      const masked = maskArgument(plain, new Words(), depth + 1);
      return masked === plain ? part : masked.replace(/[^\w.~*-]/g, percentEncoded);
    })
    .join("");
}

function percentEncoded(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x80 ? `%${code.toString(16).toUpperCase().padStart(2, "0")}` : character;
}
