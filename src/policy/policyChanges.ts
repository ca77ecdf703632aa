import { maskText } from "../jobs/model/secrets.ts";

/**
 * The values of a policy file as they are written, by key, for each section: `""` for the whole policy, `rule NAME`,
 * `command NAME`, `tenant NAME`.
 */
export type WrittenPolicy = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** A value may be a list of a thousand commands, and is shown in a log line. */
const MAX_VALUE_LENGTH = 80;
const NONE = "none";

/** Reads the value of a policy file, which is valid. */
export function toWrittenPolicy(value: unknown): WrittenPolicy {
  const written = new Map<string, Map<string, string>>();
  const { rules, commands, tenants, ...rest } = fieldsOf(value);
  const listed = Array.isArray(rules) ? rules.map(fieldsOf) : [];
  written.set("", leavesOf(rest));
  for (const { name, ...rule } of listed) {
    const { limits, ...others } = rule;
    written.set(`rule ${name}`, new Map([...leavesOf(others), ...leavesOf(fieldsOf(limits))]));
  }
  for (const [name, command] of Object.entries(fieldsOf(commands))) {
    const { limits, ...others } = fieldsOf(command);
    written.set(`command ${name}`, new Map([...leavesOf(others), ...leavesOf(fieldsOf(limits))]));
  }
  for (const [name, totals] of Object.entries(fieldsOf(tenants)))
    written.set(`tenant ${name}`, leavesOf(fieldsOf(totals)));
  return written;
}

/** Lists what differs between two policies: `rule transcode: cpu_quota 200 → 150`, `rule relay: added`. */
export function listPolicyChanges(before: WrittenPolicy, now: WrittenPolicy): string[] {
  const changes: string[] = [];
  for (const section of new Set([...before.keys(), ...now.keys()])) {
    // A policy that takes the place of none, as the first one of a fleet, has all its keys as changes.
    const missing = section === "" ? new Map<string, string>() : undefined;
    const [old, current] = [before.get(section) ?? missing, now.get(section) ?? missing];
    const prefix = section === "" ? "" : `${section}: `;
    if (old === undefined || current === undefined) {
      changes.push(`${prefix}${old === undefined ? "added" : "removed"}`);
      continue;
    }
    for (const key of new Set([...old.keys(), ...current.keys()])) {
      const [from = NONE, to = NONE] = [old.get(key), current.get(key)];
      if (from !== to) changes.push(`${prefix}${key} ${shorten(from)} → ${shorten(to)}`);
    }
  }
  const [from = "", to = ""] = [before, now].map((policy) =>
    [...policy.keys()]
      .filter((name) => name.startsWith("rule ") && before.has(name) && now.has(name))
      .join(", "),
  );
  if (from !== to) changes.push(`order of the rules: ${shorten(from)} → ${shorten(to)}`);
  return changes;
}

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function leavesOf(fields: Fields): Map<string, string> {
  const leaves = new Map<string, string>();
  for (const [key, value] of Object.entries(fields)) {
    const inner = fieldsOf(value);
    if (Object.keys(inner).length === 0) {
      if (value !== null && value !== undefined) leaves.set(key, textOf(value));
    } else for (const [path, text] of leavesOf(inner)) leaves.set(`${key}.${path}`, text);
  }
  return leaves;
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(", ")}]`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Two long values can differ at their ends alone. Then both are shown alike, and the line still names the key. */
function shorten(value: string): string {
  // A pattern of arguments or of a variable can contain a stream key.
  const text = maskText(value);
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}…`;
}
