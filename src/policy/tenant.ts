import { ValueFault } from "../limits/units.ts";
import type { ProcessFacts } from "./facts.ts";

/**
 * How a rule names the tenant: a word, or taken from the process. `{user}`, `{group}`, `{container}`, `{cwd:N}` (the Nth
 * component of the working directory, from 1) and `{env:NAME}` stand for what the process has.
 */
export interface TenantTemplate {
  readonly text: string;
  /** The name, or why this process gives none. */
  name(facts: ProcessFacts): { name: string } | { missing: string };
}

type Part = string | { source: string; read(facts: ProcessFacts): string | undefined };

/** Throws ValueFault. */
export function compileTenant(text: string): TenantTemplate {
  const parts = parseParts(text);
  const isPlain = parts.every((part) => typeof part === "string");
  if (isPlain) {
    const name = parts.join("");
    const fault = faultInTenant(name);
    if (fault !== undefined) throw invalid(fault);
    return { text, name: () => ({ name }) };
  }
  // What a process brings holds no "/" of its own (see below): only with one between two can they be told apart.
  const places = parts.flatMap((part, index) => (typeof part === "string" ? [] : [index]));
  for (const [index, place] of places.entries()) {
    const next = places[index + 1];
    if (next === undefined) continue;
    const between = parts.slice(place + 1, next) as string[];
    if (!between.join("").includes("/"))
      throw invalid('between two {…} stands a "/": without, a-b and c could not be told from a and b-c');
  }
  return {
    text,
    name(facts) {
      let name = "";
      for (const part of parts) {
        if (typeof part === "string") {
          name += part;
          continue;
        }
        const value = part.read(facts);
        if (value === undefined || value === "") return { missing: `${part.source} is not to be had` };
        if (!isExact(value)) return { missing: `${part.source} is not valid UTF-8` };
        name += value.replaceAll("%", "%25").replaceAll("/", "%2F");
      }
      return { name };
    },
  };
}

function invalid(reason: string): ValueFault {
  return new ValueFault(`is not a valid tenant: ${reason}`);
}

/** Why a word cannot be a tenant's name; `undefined` when it can. */
export function faultInTenant(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (!isExact(name)) return "it holds half a character";
  return undefined;
}

/** Two texts that were not valid look the same once they are decoded, and two tenants would become one. */
function isExact(text: string): boolean {
  return text.isWellFormed() && !text.includes("\ufffd");
}

const SOURCES = "{user}, {group}, {container}, {cwd:N}, {env:NAME}";

function parseParts(text: string): Part[] {
  return text
    .split(/(\{[^{}]*\})/)
    .filter((piece) => piece !== "")
    .map((piece): Part => {
      if (!/[{}]/.test(piece)) return piece;
      const [, source = "", , argument] = /^\{([a-z]+)(:(.+))?\}$/.exec(piece) ?? [];
      const read = readerOf(source, argument);
      if (!read) throw invalid(`${piece} is none of ${SOURCES}`);
      return { source: piece, read };
    });
}

function readerOf(
  source: string,
  argument: string | undefined,
): ((facts: ProcessFacts) => string | undefined) | undefined {
  if (source === "cwd" && argument !== undefined && /^[1-9]\d?$/.test(argument)) {
    return ({ cwd }) => cwd?.split("/").filter(Boolean)[Number(argument) - 1];
  }
  if (source === "env" && argument !== undefined) return ({ environment }) => environment?.get(argument);
  if (argument !== undefined) return undefined;
  // A colon stands in no name of a user or a group: it keeps a number apart from a name of digits.
  if (source === "user") return ({ user, uid }) => user ?? (uid === undefined ? undefined : `uid:${uid}`);
  if (source === "group") return ({ group, gid }) => group ?? (gid === undefined ? undefined : `gid:${gid}`);
  if (source === "container") return ({ container }) => container;
  return undefined;
}

/** Room for what others put around it in a file name of 255 bytes. */
const LONGEST_PATH_NAME = 160;

/**
 * A tenant's name as one component of a path: ASCII letters, digits, `-`, `_` and, inside, `.` stand for themselves, every
 * other byte becomes `%XX`. A name that grows too long keeps its beginning, and its SHA-256 behind a `~`, which no other
 * name holds. So no two names become one, and none is `.`, `..` or hidden.
 */
export function tenantPathName(name: string): string {
  const escaped = [...new TextEncoder().encode(name)]
    .map((byte, index) => {
      const character = String.fromCharCode(byte);
      const isSafe = /[A-Za-z0-9_-]/.test(character) || (character === "." && index > 0);
      return isSafe ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
  if (escaped.length <= LONGEST_PATH_NAME) return escaped;
  // Not node:crypto, which would have to be loaded for each start of a command.
  const digest = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  return `${escaped.slice(0, LONGEST_PATH_NAME - digest.length - 1)}~${digest}`;
}
