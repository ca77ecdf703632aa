import { ValueFault } from "../limits/units.ts";
import { hasInvisible } from "../sys/visibleText.ts";
import { type ProcessFacts, searchedPart } from "./facts.ts";

/**
 * The tenant of a rule: a name, or a template that takes it from the process. `{user}`, `{group}`,
 * `{container}`, `{cwd:N}` (the Nth component of the working directory, from 1) and `{env:NAME}` are
 * replaced.
 */
export interface TenantTemplate {
  readonly text: string;
  /** Returns the name, or a description of the missing fact. `isRefused`: the process has the fact, and it is no name. */
  name(facts: ProcessFacts): { name: string } | { missing: string; isRefused?: true };
}

type Fact = (facts: ProcessFacts) => string | undefined;
type Part = string | { source: string; read: Fact; where(facts: ProcessFacts): string };

/** As long as the name of a file or a directory can be. Tenants are in log lines and in every record of a job. */
const MAX_FACT_BYTES = 255;

/** Throws ValueFault. */
export function compileTenant(text: string): TenantTemplate {
  const parts = parseParts(text);
  const fault = parts.every((part) => typeof part === "string") ? faultInTenant(text) : undefined;
  if (fault !== undefined) throw invalid(fault);
  // A fact contains no "/" after name() has escaped it, so a "/" keeps two facts apart.
  let isSeparated = true;
  for (const part of parts) {
    if (typeof part === "string") isSeparated ||= part.includes("/");
    else if (!isSeparated)
      throw invalid('two {…} need a "/" between them, or a-b and c would give the name of a and b-c');
    else isSeparated = false;
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
        if (value === undefined || value === "") return { missing: `no ${part.source}${part.where(facts)}` };
        const fault = faultInFact(value);
        if (fault !== undefined) return { missing: `${part.source} that ${fault}`, isRefused: true };
        name += value.replaceAll("%", "%25").replaceAll("/", "%2F");
      }
      return { name };
    },
  };
}

function invalid(reason: string): ValueFault {
  return new ValueFault(`is not a valid tenant: ${reason}`);
}

/** Returns why a text cannot be a tenant's name; `undefined` when it can. */
export function faultInTenant(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (!isExact(name)) return "it contains a character that is not valid";
  return hasInvisible(name) ? "it contains a control character" : undefined;
}

/** Returns why a fact that a process chose cannot be part of a tenant's name; `undefined` when it can. */
function faultInFact(value: string): string | undefined {
  if (!isExact(value)) return "is not valid UTF-8";
  if (hasInvisible(value)) return "contains a control character";
  return Buffer.byteLength(value) > MAX_FACT_BYTES ? `is longer than ${MAX_FACT_BYTES} bytes` : undefined;
}

/** Returns false for text that was not valid UTF-8: two such names can be equal once they are decoded. */
function isExact(text: string): boolean {
  return text.isWellFormed() && !text.includes("\ufffd");
}

function parseParts(text: string): Part[] {
  const pieces = text.split(/(\{[^{}]*\})/).filter((piece) => piece !== "");
  return pieces.map((piece) => (/[{}]/.test(piece) ? parseFact(piece) : piece));
}

function parseFact(source: string): Part {
  const where = source.startsWith("{env:") ? searchedPart : () => "";
  return { source, read: factReader(source), where };
}

function factReader(source: string): Fact {
  const [, plain, component, variable] =
    /^\{(?:(user|group|container)|cwd:([1-9]\d?)|env:(.+))\}$/.exec(source) ?? [];
  // No name of a user or a group contains a colon, so a number cannot be taken for a name of digits.
  if (plain === "user") return ({ user, uid }) => user ?? (uid === undefined ? undefined : `uid:${uid}`);
  if (plain === "group") return ({ group, gid }) => group ?? (gid === undefined ? undefined : `gid:${gid}`);
  if (plain) return ({ container }) => container;
  if (component) return ({ cwd }) => cwd?.split("/").filter(Boolean)[Number(component) - 1];
  if (variable) return ({ environment }) => environment?.get(variable);
  throw invalid(`${source} is none of {user}, {group}, {container}, {cwd:N}, {env:NAME}`);
}

/** A file name has 255 bytes; the others are for the prefixes and suffixes of cgroup names. */
const MAX_PATH_NAME_LENGTH = 160;

/**
 * Returns a tenant's name as one component of a path. ASCII letters, digits, `-`, `_` and `.` (not as the
 * first character) stay, every other byte becomes `%XX`. A result that is too long is cut and gets `~` and
 * the SHA-256 of the name; `~` is in no other result. So two names never give one path, and no path is `.`,
 * `..` or hidden.
 */
export function tenantPathName(name: string): string {
  const escaped = Buffer.from(name)
    .toString("latin1")
    .replace(/^\.|[^\w.-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  if (escaped.length <= MAX_PATH_NAME_LENGTH) return escaped;
  // Not node:crypto, which takes time to load at the start of each command.
  const digest = new Bun.CryptoHasher("sha256").update(name).digest("hex");
  return `${escaped.slice(0, MAX_PATH_NAME_LENGTH - digest.length - 1)}~${digest}`;
}
