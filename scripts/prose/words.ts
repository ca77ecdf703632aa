const WORD = /\p{L}[\p{L}\p{N}]*(?:['’_-][\p{L}\p{N}]+)*/gu;

/** Persons without a name; "the user nobody" is an account. */
const PERSON =
  /(?:some|any|every)(?:body|one)|(?<!(?:user|account|group|uid|gid)\s+)nobody|no\s+one|who(?:m)?ever/;

/** Verbs and adverbs that technical English no longer uses, except in the meanings that are still common. */
const VERBS: readonly RegExp[] = [
  /told/,
  /tell(?:s|ing)?\s+of/,
  /anew/,
  // "a lie".
  /(?<!(?:a|the)\s+)lies?|lying|lain|lay(?!\s+(?:out|people|person))/,
  // "`*` stands for any characters", "a fake stands in for systemd".
  /(?:stands?|stood)(?!\s+(?:(?:in\s+)?for|out)(?![\w-]))|standing(?=\s+(?:above|at|below|beside|by|in|on|there|under))/,
  // "lets the caller go back".
  /(?:let|lets|letting)\s+(?:[\w'-]+\s+){0,3}?go(?!\s+(?:ahead|back|into|through|to))/,
  // "options go on the command line".
  /(?:go|goes|going|gone|went)\s+on(?!\s+(?:the(?!\s+(?:same|whole))|an?|stdout|stderr|standard)(?![\w-]))/,
  // "takes up to 3 s", "takes up 3 MiB of memory".
  /(?:take|takes|taken|taking|took)\s+(?:(?:it|them|him|one|this|that|these|those)\s+)?up(?!\s+to(?![\w-]))(?!\s+(?:\S+\s+){0,3}(?:space|room|memory|bytes|disk|[KMGT]iB))/,
  /be\s+had/,
  /(?:hold|holds|held)\s+of/,
];

/** Matches whole words only: no part of a path, an option, a file name, an identifier or a hyphenated word. */
function wholeWords(patterns: readonly RegExp[]): RegExp {
  const either = patterns.map(({ source }) => source).join("|");
  return new RegExp(`(?<![\\p{L}\\p{N}_$./@-])(?:${either})(?![\\p{L}\\p{N}_(/=-]|\\.[\\p{L}\\p{N}])`, "giu");
}

const PATTERNS = { person: wholeWords([PERSON]), verb: wholeWords(VERBS) };

const OPENING = /^\s*(what|whether|of|those|who|whose)(?![\p{L}\p{N}_-])/iu;

export interface Hit {
  kind: "person" | "verb" | "opening";
  word: string;
  offset: number;
}

export function countWords(text: string): number {
  return text.match(WORD)?.length ?? 0;
}

export function findHits(text: string): Hit[] {
  return (["person", "verb"] as const)
    .flatMap((kind) =>
      [...text.matchAll(PATTERNS[kind])].map(({ 0: match, index }) => ({
        kind,
        word: match.toLowerCase().replace(/\s+/g, " "),
        offset: index,
      })),
    )
    .sort((a, b) => a.offset - b.offset);
}

/** Finds the first word of a doc comment if it is a relative word; "What the kernel has set" names nothing. */
export function findOpening(text: string): Hit[] {
  const match = OPENING.exec(text);
  const word = match?.[1];
  return match === null || word === undefined
    ? []
    : [{ kind: "opening", word, offset: match[0].length - word.length }];
}
