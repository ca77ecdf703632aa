import { hasQuote, type Token, tokensOf } from "./scriptTokens.ts";
import { hasLineValue, isSecretName, isSecretParameter } from "./secretNames.ts";
import { isNameOfSecret, isSecretOption, Words } from "./secretOptions.ts";
import {
  hasOddPort,
  IS_STREAM,
  indexAfterSlashes,
  indexOfAny,
  isHeaderName,
  isHostAt,
  isUrlAt,
  isUrlOpen,
  lineEnd,
  looksRandom,
  nameStart,
  nextMark,
  schemeStart,
  urlEnd,
  valueEnd,
} from "./wordParts.ts";

export const MASK = "***";

/** The depth to which quotes in quotes and escapes in escapes are read. Deeper text is masked as a whole. */
const MAX_DEPTH = 6;

/** The characters without which a word has no secret that its place in the command does not show. */
const SUSPICIOUS = /[\0- "'`%:=@]/;

/** Masks a word of a command. `words` has read those before it. */
export function maskArgument(word: string, words: Words, depth: number): string {
  const from = words.secretFrom(word);
  if (from !== undefined) return maskFrom(word, from);
  if (!SUSPICIOUS.test(word)) return word;
  return withPlainSlashes(word, (plain) => new Script(depth).mask(plain));
}

function maskFrom(word: string, from: number): string {
  return word.slice(0, from) + (from < word.length ? MASK : "");
}

/** Masks JSON with escaped slashes, `rtmp:\/\/host\/app\/key`, as if they were not escaped. */
export function withPlainSlashes(text: string, mask: (text: string) => string): string {
  if (!text.includes(":\\/\\/")) return mask(text);
  const plain = text.replaceAll("\\/", "/");
  const masked = mask(plain);
  return masked === plain ? text : masked.replaceAll("/", "\\/");
}

/**
 * The part of a text that is secret, seen from the end of a token. `named`: the next value, if a colon or an equals sign
 * comes first. `value`: the next value. `adjacent`: the next token, unless it is a space. `tail`: the rest of the word,
 * unless a separator comes first. `word`, `line` and `all`: everything up to the end of these.
 */
type Expected = "nothing" | "named" | "value" | "adjacent" | "tail" | "word" | "line" | "all";

/** Masks a text with spaces or quotes: a shell script, JSON, headers, the properties of an RTMP library. */
export class Script {
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
    else if (isNameOfSecret(inner)) this.#expect("named");
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
