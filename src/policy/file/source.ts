import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLError } from "yaml";
import type { PolicyFault } from "./fault.ts";

/** Keys and numbers that lead to a place: `["rules", 2, "limits"]`. */
export type Path = readonly PropertyKey[];

/** Plain values of a YAML text, and where each of them stands. */
export interface Source {
  value: unknown;
  /** A fault at a place, or at the nearest one around it that is in the text. */
  fault(path: Path, at: "key" | "value", message: string, right: string): PolicyFault;
}

/** With aliases followed. No policy needs as many; what expands to more is meant to. */
const MOST_VALUES = 200_000;
const DEEPEST = 32;
const LONGEST_EXCERPT = 60;
/** Of faults in the syntax: one slip can make thousands. */
const MOST_SYNTAX_FAULTS = 20;

/** Parses YAML 1.2. Never throws, whatever the text. */
export function parseSource(text: string): { source: Source; faults: PolicyFault[] } {
  const reader = new SourceReader(text);
  return { source: reader, faults: reader.read() };
}

type Range = readonly [start: number, end: number];

interface Place {
  key: Range | undefined;
  value: Range | undefined;
}

class SourceReader implements Source {
  value: unknown;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #places = new Map<string, Place>();
  readonly #anchors = new Map<string, Node>();
  readonly #faults: PolicyFault[] = [];
  /** Nodes that we are inside of: an alias to one of them would never end. */
  readonly #open = new Set<Node>();
  #values = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): PolicyFault[] {
    try {
      // Its own look for keys that stand twice compares each with each: a minute for a megabyte of keys.
      const options = { lineCounter: this.#lines, uniqueKeys: false, prettyErrors: false } as const;
      const document = parseDocument(this.#text, options);
      const errors = [...document.errors, ...document.warnings].slice(0, MOST_SYNTAX_FAULTS);
      this.#faults.push(...errors.map((error) => this.#syntaxFault(error)));
      this.value = this.#plain(document.contents, []);
    } catch (error) {
      // The parser and we go down into what is nested by calling ourselves.
      if (!(error instanceof RangeError)) throw error;
      this.#fault([0, 0], "", "is nested too deeply", "a policy needs but a few levels");
    }
    return this.#faults;
  }

  fault(path: Path, at: "key" | "value", message: string, right: string): PolicyFault {
    let known = [...path];
    let place = this.#places.get(keyText(known));
    while (place === undefined && known.length > 0) {
      known = known.slice(0, -1);
      place = this.#places.get(keyText(known));
    }
    const range = (at === "key" ? (place?.key ?? place?.value) : (place?.value ?? place?.key)) ?? [0, 0];
    return this.#at(range, keyText(path), message, right);
  }

  #at([start, end]: Range, key: string, message: string, right: string): PolicyFault {
    const { line, col } = this.#lines.linePos(start);
    // An empty document has no line at all.
    return {
      line: Math.max(1, line),
      column: Math.max(1, col),
      key,
      text: excerpt(this.#text.slice(start, end)),
      message,
      right,
    };
  }

  #fault(range: Range, key: string, message: string, right: string): void {
    this.#faults.push(this.#at(range, key, message, right));
  }

  #syntaxFault(error: YAMLError): PolicyFault {
    const [start, end] = error.pos;
    const [message, right] = explainSyntax(error);
    // A tab is nothing to be seen between quotes.
    const range: Range = error.code === "TAB_AS_INDENT" ? [start, start] : [start, Math.max(end, start + 1)];
    return this.#at(range, "", message, right);
  }

  #plain(node: unknown, path: Path): unknown {
    if (++this.#values === MOST_VALUES) {
      const right = "aliases (*name) are for a few repeated lines";
      this.#fault([0, 0], keyText(path), `becomes more than ${MOST_VALUES} values`, right);
    }
    if (this.#values >= MOST_VALUES) return undefined;
    if (isAlias(node)) return this.#followAlias(node.source, rangeOf(node), path);
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
    if (node.anchor) this.#anchors.set(node.anchor, node);
    const place = this.#places.get(keyText(path));
    if (place?.value === undefined) {
      this.#places.set(keyText(path), { key: place?.key, value: rangeOf(node) });
    }
    if (isScalar(node)) return node.value;
    if (path.length > DEEPEST) {
      this.#fault(
        rangeOf(node) ?? [0, 0],
        keyText(path),
        "is nested too deeply",
        "a policy needs but a few levels",
      );
      return undefined;
    }
    this.#open.add(node);
    const value = isSeq(node)
      ? node.items.map((item, index) => this.#plain(item, [...path, index]))
      : this.#plainMap(node.items, path);
    this.#open.delete(node);
    return value;
  }

  #plainMap(pairs: readonly { key: unknown; value: unknown }[], path: Path): Record<string, unknown> {
    const own = new Map<string, unknown>();
    const merged: Record<string, unknown>[] = [];
    for (const { key, value } of pairs) {
      const range = rangeOf(key) ?? [0, 0];
      if (!isScalar(key) || key.value === null || typeof key.value === "object") {
        this.#fault(range, keyText(path), "is no key", "a word with a colon behind it");
        continue;
      }
      const name = typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
      if (name === "<<") {
        merged.push(...this.#mergeable(value, path));
        continue;
      }
      if (name === "__proto__") {
        this.#fault(range, keyText(path), "cannot be a key here", "another name");
        continue;
      }
      const below = [...path, name];
      if (own.has(name)) {
        const first = this.#lines.linePos(this.#places.get(keyText(below))?.key?.[0] ?? 0).line;
        this.#fault(range, keyText(below), `stands twice, on line ${first} too`, "each key once");
        continue;
      }
      // A place that was reached through an alias before keeps the range of what is written out.
      this.#places.set(keyText(below), { key: range, value: undefined });
      own.set(name, this.#plain(value, below));
    }
    return Object.assign({}, ...merged.reverse(), Object.fromEntries(own));
  }

  /** What `<<` takes over: a mapping, or a list of them of which the first one wins. */
  #mergeable(node: unknown, path: Path): Record<string, unknown>[] {
    const value = this.#plain(node, [...path, "<<"]);
    const maps = Array.isArray(value) ? value : [value];
    if (maps.every((map) => typeof map === "object" && map !== null && !Array.isArray(map))) return maps;
    this.#fault(rangeOf(node) ?? [0, 0], keyText(path), "cannot be merged", "<<: *name, of a mapping");
    return [];
  }

  #followAlias(name: string, range: Range | undefined, path: Path): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined || this.#open.has(target)) {
      const message = target ? "contains itself" : "names nothing that stands before it";
      this.#fault(
        range ?? [0, 0],
        keyText(path),
        message,
        `&${name} before it, where the value is written out`,
      );
      return undefined;
    }
    const key = this.#places.get(keyText(path))?.key;
    this.#places.set(keyText(path), { key, value: range });
    return this.#plain(target, path);
  }
}

function rangeOf(node: unknown): Range | undefined {
  const range = (node as Node | null)?.range;
  return range ? [range[0], range[1]] : undefined;
}

/** `["rules", 2, "limits"]` → `rules[2].limits`. */
function keyText(path: Path): string {
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : `${index === 0 ? "" : "."}${String(part)}`,
    )
    .join("");
}

function excerpt(text: string): string {
  const [first = "", ...rest] = text.trim().split("\n");
  if (first === "" && rest.length === 0) return "";
  const isCut = rest.length > 0 || first.length > LONGEST_EXCERPT;
  const shown = `${first.slice(0, LONGEST_EXCERPT).trimEnd()}${isCut ? " …" : ""}`;
  return /^["']/.test(shown) ? shown : JSON.stringify(shown);
}

const SYNTAX: Partial<Record<YAMLError["code"], [message: string, right: string]>> = {
  TAB_AS_INDENT: ["a tab stands where lines are indented", "blanks"],
  MULTIPLE_DOCS: ["begins a second document", "one document in a file"],
  TAG_RESOLVE_FAILED: ["is a tag, and tags mean nothing here", "the value without it"],
  BAD_ALIAS: ["is no alias", "*name, with &name before it"],
  BLOCK_AS_IMPLICIT_KEY: [
    "has a second colon in its line, or is indented unlike its neighbours",
    'one "key: value" in a line; quotes around a text that holds ": "',
  ],
  BAD_INDENT: ["is not indented as it should be", "the same number of blanks for all keys of one level"],
  MISSING_CHAR: ["lacks what closes it or divides it", "a quote, bracket or comma"],
  MULTILINE_IMPLICIT_KEY: ["is no key: a key stands in one line", "a word with a colon behind it"],
  BAD_SCALAR_START: ["cannot begin a value", "quotes around the value"],
  BAD_DIRECTIVE: ["is no directive", "a file without directives"],
};

function explainSyntax(error: YAMLError): [message: string, right: string] {
  return SYNTAX[error.code] ?? [`is no YAML: ${error.message.split("\n")[0]}`, "https://yaml.org"];
}
