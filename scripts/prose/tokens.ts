export interface Token {
  kind: "line-comment" | "block-comment" | "string" | "template";
  start: number;
  end: number;
  /** Each `${…}` of a template, from the dollar sign to after the brace. Tokens inside are listed as well. */
  holes: readonly { start: number; end: number }[];
}

/** Words after which a slash starts a regular expression. After any other word it divides. */
const OPERATORS = new Set(
  "await case delete do else extends in instanceof new of return throw typeof void yield".split(" "),
);
/** Words whose parentheses a statement follows: a slash there starts a regular expression. */
const CONDITIONS = new Set(["if", "while", "for", "with"]);

const WORD = /[\p{ID_Start}$_#\d][\p{ID_Continue}$]*/uy;
const STRING = /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y;
const REGEX = /\/(?:[^\\/[\n]|\\[^\n]|\[(?:[^\]\\\n]|\\[^\n])*\])+\/[a-z]*/y;
const LINE_COMMENT = /\/\/.*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?(?:\*\/|$)/y;

/**
 * Lists the comments and literals of a TypeScript file without JSX, in the order of their start. The scanner
 * of the typescript package is not enough: it needs a parser to recognize a regular expression and the rest
 * of a template.
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  /** The last word or sign, with the dot before it if it names a property; empty at the start. */
  let previous = "";
  /** The word before each open parenthesis. */
  const parentheses: string[] = [];
  let closedCondition = false;
  let position = source.startsWith("#!") ? source.indexOf("\n") : 0;
  if (position >= 0) scanCode(false);
  return tokens.sort((a, b) => a.start - b.start);

  /** Reads to the end of the file, or past the brace that closes a template's `${`. */
  function scanCode(inTemplate: boolean): void {
    let depth = 0;
    while (position < source.length) {
      const char = source[position] ?? "";
      if (/\s/.test(char)) position++;
      else if (char === "`") scanTemplate();
      else if (accept(LINE_COMMENT, "line-comment") || accept(BLOCK_COMMENT, "block-comment")) continue;
      else if (accept(STRING, "string")) previous = '"';
      else if (char === "/" && startsRegex() && match(REGEX) !== undefined) previous = '"';
      else {
        const word = match(WORD);
        if (word !== undefined) {
          previous = previous === "." ? `.${word}` : word;
          continue;
        }
        if (char === "(") parentheses.push(previous);
        if (char === ")") closedCondition = CONDITIONS.has(parentheses.pop() ?? "");
        if (char === "{") depth++;
        position++;
        if (char === "}" && depth-- === 0 && inTemplate) return;
        previous = (char === "+" || char === "-") && previous === char ? char + char : char;
      }
    }
  }

  function scanTemplate(): void {
    const start = position++;
    const holes: { start: number; end: number }[] = [];
    while (position < source.length && source[position] !== "`") {
      if (source[position] === "\\") position += 2;
      else if (source.startsWith("${", position)) {
        const hole = position;
        position += 2;
        previous = "{";
        scanCode(true);
        holes.push({ start: hole, end: position });
      } else position++;
    }
    position = Math.min(position + 1, source.length);
    tokens.push({ kind: "template", start, end: position, holes });
    previous = '"';
  }

  function startsRegex(): boolean {
    if (previous === ")") return closedCondition;
    if (previous === "]" || previous === '"' || previous === "++" || previous === "--") return false;
    return OPERATORS.has(previous) || !/[\p{ID_Continue}$]$/u.test(previous);
  }

  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = position;
    const text = pattern.exec(source)?.[0];
    position += text?.length ?? 0;
    return text;
  }

  function accept(pattern: RegExp, kind: Token["kind"]): boolean {
    const start = position;
    if (match(pattern) === undefined) return false;
    tokens.push({ kind, start, end: position, holes: [] });
    return true;
  }
}
