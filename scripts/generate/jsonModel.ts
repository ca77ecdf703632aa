import { z } from "zod";
import { EVENT_DETAILS } from "../../src/jobs/jsonSchemas.ts";
import { JSON_DOCUMENTS, type JsonDocument } from "../../src/json/commandDocuments.ts";

/** The JSON documents of ffrtmp, in a form from which pages are written. Texts are Markdown of one line. */

/** An introduction, and the rules that hold for each document. */
export const JSON_RULES = [
  "With `--json`, commands print one JSON document on stdout, or JSON lines while they run. Messages go to stderr. `run` prints its document there too, on one line: stdout belongs to its workload.",
  "Keys and their meanings stay from release to release. New keys can be added, so ignore the ones that you do not know.",
  "`null` means that the value is not known, unless the description gives another meaning. A value is never invented.",
  "Times are ISO 8601 in UTC with milliseconds. Durations are in seconds, sizes in bytes; the key ends with the unit.",
  "Exit codes are the same as without `--json`. A command that fails prints no document; `limits set` and `limits reset` print what they changed where they exit with 2 because a part was refused.",
];

export interface DocumentText {
  /** `ffrtmp ps --json` */
  commandLine: string;
  /** `ps` */
  command: string;
  type: string;
}

export interface ObjectText {
  name: string;
  description: string;
  keys: KeyText[];
}

export interface KeyText {
  /** With the keys around it: `failed.wanted`, `limits_by_hand[].limit`. */
  key: string;
  type: string;
  meaning: string;
}

export interface EventKindText {
  kind: string;
  meaning: string;
  detail: string;
}

/** Writes the name of an object. `link`: as a link to its description. */
export type NameStyle = (name: string) => string;

type Schema = z.core.JSONSchema.BaseSchema;

export function documentTexts(style: NameStyle): DocumentText[] {
  return JSON_DOCUMENTS.map((document) => ({
    commandLine: ["ffrtmp", document.command, document.option, "--json"].filter(Boolean).join(" "),
    command: document.command,
    type: documentType(document, style),
  }));
}

function documentType({ form, schema }: JsonDocument, style: NameStyle): string {
  const type = typeOf(jsonSchemaOf(schema), style);
  if (form === "stderr") return `${type}, on one line of stderr`;
  return form === "lines" ? `lines, each ${type}` : type;
}

/** Returns the objects that have a name, sorted by it. */
export function objectTexts(style: NameStyle): ObjectText[] {
  const objects = new Map<string, Schema>();
  for (const { schema } of JSON_DOCUMENTS) {
    for (const [name, definition] of Object.entries(jsonSchemaOf(schema).$defs ?? {})) {
      if (!name.startsWith("__")) objects.set(name, definition as Schema);
    }
  }
  return [...objects]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, { description = "", ...schema }]) => ({
      name,
      description,
      keys: keysOf("", schema, style),
    }));
}

export function eventKindTexts(): EventKindText[] {
  return Object.entries(EVENT_DETAILS).map(([kind, schema]) => {
    const { description = "", ...detail } = jsonSchemaOf(schema);
    return { kind, meaning: description, detail: detailText(detail) };
  });
}

function detailText(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map((each) => detailText(each as Schema)).join(" or ");
  const keys = Object.keys(schema.properties ?? {});
  return keys.length === 0 ? "none" : keys.map((key) => `\`${key}\``).join(", ");
}

/** Returns the keys of an object, each followed by those of an object inside it that has no name. */
function keysOf(prefix: string, schema: Schema, style: NameStyle): KeyText[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, each]) => {
    const key = prefix + name;
    const child = each as Schema;
    const own = { key, type: typeOf(child, style), meaning: child.description ?? "" };
    const [path, inner] = innerObject(key, child);
    return [own, ...keysOf(`${path}.`, inner, style)];
  });
}

function innerObject(key: string, schema: Schema): [key: string, schema: Schema] {
  if (schema.properties) return [key, schema];
  if (schema.items) return innerObject(`${key}[]`, schema.items as Schema);
  const inner = schema.anyOf?.find((each) => (each as Schema).properties ?? (each as Schema).items);
  return inner ? innerObject(key, inner as Schema) : [key, {}];
}

function typeOf(schema: Schema, style: NameStyle): string {
  const each = (inner: unknown): string => typeOf(inner as Schema, style);
  if (schema.$ref) return style(schema.$ref.replace("#/$defs/", ""));
  if (schema.allOf) return schema.allOf.map(each).join(" and ");
  if (schema.anyOf) return schema.anyOf.map(each).join(" or ");
  if (schema.enum) return schema.enum.map((value) => `\`"${value}"\``).join(", ");
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.type === "array") return `list of ${each(schema.items ?? {})}`;
  if (schema.type === "object" && !schema.properties) return "object of strings";
  return schema.type === undefined ? "any" : [schema.type].flat().join(" or ");
}

function jsonSchemaOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: "output", unrepresentable: "any" });
}
