import { isSecretParameter } from "./secretNames.ts";

/** Finds the names, values, hosts and URLs in a word. */

const MAX_SCHEME_LENGTH = 32;
const MAX_NAME_LENGTH = 64;

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

/** Returns true for a URL that ends with its word, and whose secret can continue in quotes: rtmp://host/app/"key" */
export function isUrlOpen(word: string, start: number, end: number): boolean {
  if (word.slice(end) === ":") return true;
  if (end < word.length) return false;
  const name = word[end - 1] === "=" ? word.slice(nameStart(word, end - 1, start), end - 1) : "";
  return IS_STREAM.test(word.slice(start, word.indexOf(":", start))) || isSecretParameter(name);
}

const MARK = /[:=@/|[\]()]/g;

/** Returns the index of the next character that can separate a secret from its name, or that of the end. */
export function nextMark(word: string, from: number): number {
  MARK.lastIndex = from;
  return MARK.test(word) ? MARK.lastIndex - 1 : word.length;
}

/** Returns true for the colon of a URL. One slash: the URL was taken for a path, from which `//` is removed. */
export function isUrlAt(word: string, colon: number, from: number): boolean {
  if (word[colon + 1] !== "/") return false;
  const scheme = word.slice(schemeStart(word, colon, from), colon);
  return word[colon + 2] === "/" ? scheme !== "" : IS_STREAM.test(scheme);
}

export function indexAfterSlashes(word: string, colon: number): number {
  return colon + (word[colon + 2] === "/" ? 3 : 2);
}

/** Returns the index where the scheme of a URL starts, whose colon is at `colon`. */
export function schemeStart(word: string, colon: number, from: number): number {
  let start = colon;
  const first = Math.max(from, colon - MAX_SCHEME_LENGTH);
  while (start > first && /[A-Za-z0-9+.-]/.test(word[start - 1] as string)) start--;
  while (start < colon && !/[A-Za-z]/.test(word[start] as string)) start++;
  return start;
}

/** Returns the index where the name before `end` starts. */
export function nameStart(word: string, end: number, from: number): number {
  let start = end;
  const first = Math.max(from, end - MAX_NAME_LENGTH);
  while (start > first && /[\w.%$-]/.test(word[start - 1] as string)) start--;
  return start;
}

/** Excludes options of FFmpeg with a stream (-key:v), keys of a policy (match.env.KEY:) and lists (x:key:y). */
export function isHeaderName(name: string, before: string | undefined): boolean {
  return /^[A-Za-z][\w-]{4,}$/.test(name) && (before === undefined || "{,(;&\\=\"'`".includes(before));
}

/** Returns the index of `\r` or `\n`, which programs write for the end of a header, or that of the end. */
export function lineEnd(word: string, from: number): number {
  const end = word.slice(from).search(/\\[rn]/);
  return end < 0 ? word.length : from + end;
}

export function valueEnd(word: string, from: number, before: string | undefined): number {
  const ends = (before !== undefined && ENDS_OF_VALUE[before]) || "";
  for (let index = from; index < word.length; index++) {
    if (word[index] === "\\") index++;
    else if (ends.includes(word[index] as string)) return index;
  }
  return word.length;
}

const HOST = /[A-Za-z0-9[][A-Za-z0-9.:\]-]*(?=$|[/?#,|;])/y;

export function isHostAt(word: string, index: number): boolean {
  HOST.lastIndex = index;
  return HOST.test(word);
}

/** RTMP in all its variants: the last part of the path and the query are the stream key. */
export const IS_STREAM = /rtmf?p/i;

/** Returns the end of the URL, or the start of another URL in it: after a comma, in a parameter. */
export function urlEnd(word: string, start: number, from: number): number {
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
export function indexOfAny(text: string, characters: string, from: number): number {
  let index = from;
  while (index < text.length && !characters.includes(text[index] as string)) index++;
  return index;
}

/** Returns true for a port that is no number. An address of IPv6 is no host with a port. */
export function hasOddPort(host: string): boolean {
  if (/^\[.*\](?::\d*)?$/.test(host) || /^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*$/.test(host)) return false;
  const colon = host.indexOf(":");
  return colon >= 0 && !/^\d{0,5}$/.test(host.slice(colon + 1));
}

/** Content delivery networks give their signatures many names: `h=9e107d9d372bb682…`, or none. */
export function looksRandom(value: string): boolean {
  const isToken = value.length >= 20 && /^[\w%+/=~.-]*$/.test(value) && !/%3A%2F%2F/i.test(value);
  return isToken && /[0-9]/.test(value) && /[A-Za-z]/.test(value) && !/\.[A-Za-z0-9]{1,5}$/.test(value);
}
