import * as yaml from "yaml";
import type { PolicyFault } from "./fault.ts";
import { explainSyntax } from "./yamlFaults.ts";

/** The keys and indexes that lead to a value: `["rules", 2, "limits"]`. */
type Path = readonly PropertyKey[];

/** Values after aliases are expanded. No policy needs as many. */
const MAX_VALUES = 200_000;
const MAX_DEPTH = 32;
const MAX_EXCERPT_LENGTH = 60;
/** One slip in the syntax can cause thousands of faults. */
const MAX_SYNTAX_FAULTS = 20;

const TOO_DEEP = ["is nested too deeply", "a policy needs only a few levels"] as const;

type Range = readonly [start: number, end: number, ...unknown[]];

/** A value of the text and its position, with the values inside it by key or index. */
interface Place {
  value: unknown;
  key?: Range | undefined;
  range: Range | undefined;
  inside: Map<PropertyKey, Place>;
  /** The number of values that this one consists of, with aliases expanded. */
  size: number;
}

/** A YAML 1.2 text: its value, its faults, and the position of each value for further faults. */
export class Source {
  readonly value: unknown;
  readonly faults: PolicyFault[] = [];
  readonly #text: string;
  readonly #lines = new yaml.LineCounter();
  /** `undefined` while the value of the anchor is being converted, where an alias to it would never end. */
  readonly #anchors = new Map<string, Place | undefined>();
  readonly #root: Place = emptyPlace();

  /** Reports every fault in `faults`; never throws. */
  constructor(text: string) {
    this.#text = text;
    // The parser's own check for repeated keys compares each with each: a minute for a megabyte of keys.
    const options = { lineCounter: this.#lines, uniqueKeys: false, prettyErrors: false } as const;
    try {
      const { contents, errors, warnings } = yaml.parseDocument(text, options);
      for (const error of [...errors, ...warnings].slice(0, MAX_SYNTAX_FAULTS))
        this.#report(rangeOfError(error), [], ...explainSyntax(error));
      this.#root = this.#place(contents, []);
      this.value = this.#root.value;
    } catch (error) {
      // The parser is recursive.
      if (!(error instanceof RangeError)) throw error;
      this.#report(undefined, [], ...TOO_DEEP);
    }
  }

  /** Describes a fault at a path, or at the nearest place around it that is in the text. */
  fault(path: Path, at: "key" | "value", message: string, right: string): PolicyFault {
    let place = this.#root;
    let shown = path;
    for (const [index, part] of path.entries()) {
      const inner = place.inside.get(part);
      if (inner === undefined) {
        // A single value without its list.
        if (typeof part === "number" && place.inside.size === 0) shown = path.slice(0, index);
        break;
      }
      place = inner;
    }
    const range = at === "key" ? (place.key ?? place.range) : (place.range ?? place.key);
    return this.#describe(range, shown, message, right);
  }

  #describe([start, end]: Range = [0, 0], path: Path, message: string, right: string): PolicyFault {
    const { line, col } = this.#lines.linePos(start);
    return {
      // An empty document has no lines.
      line: Math.max(1, line),
      column: Math.max(1, col),
      key: keyText(path),
      text: excerpt(this.#text.slice(start, end)),
      message,
      right,
    };
  }

  #report(range: Range | undefined, path: Path, message: string, right: string): void {
    this.faults.push(this.#describe(range, path, message, right));
  }

  #place(node: unknown, path: Path): Place {
    const range = rangeOf(node);
    if (yaml.isAlias(node)) return this.#followAlias(node.source, range, path);
    const place = emptyPlace(range);
    if (!yaml.isScalar(node) && !yaml.isMap(node) && !yaml.isSeq(node))
      return { ...emptyPlace(), value: null };
    if (node.anchor) this.#anchors.set(node.anchor, undefined);
    if (yaml.isScalar(node)) place.value = node.value;
    else if (path.length > MAX_DEPTH) this.#report(range, path, ...TOO_DEEP);
    else if (yaml.isMap(node)) this.#fillMapping(place, node.items, path);
    else place.value = node.items.map((item, index) => this.#add(place, index, item, path).value);
    if (place.size > MAX_VALUES) {
      const right = "aliases (*name) are for a few repeated lines";
      this.#report(range, path, `expands to more than ${MAX_VALUES} values`, right);
      Object.assign(place, emptyPlace(range));
    }
    if (node.anchor) this.#anchors.set(node.anchor, place);
    return place;
  }

  #add(place: Place, part: PropertyKey, node: unknown, path: Path): Place {
    const inner = this.#place(node, [...path, part]);
    place.inside.set(part, inner);
    place.size += inner.size;
    return inner;
  }

  #fillMapping(place: Place, pairs: readonly yaml.Pair[], path: Path): void {
    const merged: Record<string, unknown>[] = [];
    for (const { key, value } of pairs) {
      const range = rangeOf(key);
      if (!yaml.isScalar(key) || key.value === null || typeof key.value === "object") {
        this.#report(range, path, "is not a key", "a word followed by a colon");
        continue;
      }
      const name = typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
      const earlier = place.inside.get(name);
      if (name === "<<") merged.push(...this.#mergeable(place, value, path));
      else if (name === "__proto__") this.#report(range, path, "cannot be a key here", "another name");
      else if (earlier) {
        const { line } = this.#lines.linePos(earlier.key?.[0] ?? 0);
        this.#report(range, [...path, name], `is a repeated key, first on line ${line}`, "each key once");
      } else this.#add(place, name, value, path).key = range;
    }
    const own = Object.fromEntries(Array.from(place.inside, ([name, inner]) => [name, inner.value]));
    place.value = Object.assign({}, ...merged.reverse(), own);
  }

  /** Returns the mappings that `<<` merges: one, or a list of which the first one wins. */
  #mergeable(place: Place, node: unknown, path: Path): Record<string, unknown>[] {
    const { value, size } = this.#place(node, [...path, "<<"]);
    place.size += size;
    const maps = Array.isArray(value) ? value : [value];
    if (maps.every((map) => typeof map === "object" && map !== null && !Array.isArray(map))) return maps;
    this.#report(rangeOf(node), path, "cannot be merged", "<<: *name, where name is a mapping");
    return [];
  }

  #followAlias(name: string, range: Range | undefined, path: Path): Place {
    const target = this.#anchors.get(name);
    if (target !== undefined) return { ...target, key: undefined, range };
    const message = this.#anchors.has(name) ? "contains itself" : "refers to no earlier anchor";
    this.#report(range, path, message, `&${name} on an earlier value`);
    return emptyPlace(range);
  }
}

function emptyPlace(range?: Range): Place {
  return { value: undefined, range, inside: new Map(), size: 1 };
}

function rangeOf(node: unknown): Range | undefined {
  return (node as yaml.Node | null)?.range ?? undefined;
}

/** Returns at least one character, but not a tab, which is invisible between quotes. */
function rangeOfError({ code, pos: [start, end] }: yaml.YAMLError): Range {
  return code === "TAB_AS_INDENT" ? [start, start] : [start, Math.max(end, start + 1)];
}

/** `["rules", 2, "limits"]` → `rules[2].limits`. */
function keyText(path: Path): string {
  const text = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return text.replace(/^\./, "");
}

function excerpt(text: string): string {
  const [first = "", ...rest] = text.trim().split("\n");
  if (first === "" && rest.length === 0) return "";
  const isCut = rest.length > 0 || first.length > MAX_EXCERPT_LENGTH;
  const shown = `${first.slice(0, MAX_EXCERPT_LENGTH).trimEnd()}${isCut ? " …" : ""}`;
  return /^["']/.test(shown) ? shown : JSON.stringify(shown);
}
