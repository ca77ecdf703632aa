import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { JSON_DOCUMENTS, type JsonDocument } from "../src/cli/output/jsonSchemas.ts";
import { EVENT_DETAILS } from "../src/jobs/jsonSchemas.ts";

/**
 * Writes docs/json.md from the schemas that the tests check each JSON output against. With --check, writes nothing and
 * fails if the file differs.
 */
const FILE = resolve(import.meta.dir, "../docs/json.md");

type Schema = z.core.JSONSchema.BaseSchema;

const INTRODUCTION = `# JSON output

With \`--json\`, commands print one JSON document on stdout, or JSON lines while they run. Messages go to stderr.

- Keys and their meanings stay from release to release. New keys can be added, so ignore the ones that you do not know.
- \`null\` means that the value is not known, unless the description gives another meaning. A value is never invented.
- Times are ISO 8601 in UTC with milliseconds. Durations are in seconds, sizes in bytes; the key ends with the unit.
- Exit codes are the same as without \`--json\`. A command that fails prints no document.

This page is made from the schemas that the tests check each output against (\`scripts/jsonPage.ts\`).
`;

const text = page();
if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from the schemas: run scripts/jsonPage.ts`);
  process.exit(1);
}

function page(): string {
  const objects = new Map<string, Schema>();
  for (const { schema } of JSON_DOCUMENTS) {
    for (const [name, definition] of Object.entries(jsonSchemaOf(schema).$defs ?? {})) {
      if (!name.startsWith("__")) objects.set(name, definition as Schema);
    }
  }
  const sections = [...objects]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, each]) => objectSection(name, each));
  return [INTRODUCTION, documentsSection(), ...sections, eventsSection()].join("\n");
}

function documentsSection(): string {
  const rows = JSON_DOCUMENTS.map(
    (document) => `| \`${commandLine(document)}\` | ${documentType(document)} |`,
  );
  return ["## Documents\n", "| command | prints |", "|---|---|", ...rows, ""].join("\n");
}

function commandLine({ command, option }: JsonDocument): string {
  return ["ffrtmp", command, option, "--json"].filter(Boolean).join(" ");
}

function documentType({ form, schema }: JsonDocument): string {
  const type = typeOf(jsonSchemaOf(schema));
  return form === "lines" ? `lines, each ${type}` : type;
}

function objectSection(name: string, { description = "", ...schema }: Schema): string {
  return [`## ${name}\n`, `${description}\n`, ...keyTable(schema), ""].join("\n");
}

function eventsSection(): string {
  const rows = Object.entries(EVENT_DETAILS).map(([kind, schema]) => {
    const { description = "", ...detail } = jsonSchemaOf(schema);
    return `| \`${kind}\` | ${description} | ${detailText(detail)} |`;
  });
  return ["## Kinds of events\n", "| kind | meaning | detail |", "|---|---|---|", ...rows, ""].join("\n");
}

function detailText(schema: Schema): string {
  if (schema.anyOf) return schema.anyOf.map((each) => detailText(each as Schema)).join(" or ");
  const keys = Object.keys(schema.properties ?? {});
  return keys.length === 0 ? "none" : keys.map((key) => `\`${key}\``).join(", ");
}

function keyTable(schema: Schema): string[] {
  const rows = Object.entries(schema.properties ?? {}).flatMap(([key, each]) => keyRows(key, each as Schema));
  return ["| key | type | meaning |", "|---|---|---|", ...rows];
}

/** Returns the row of a key, and those of the keys inside an object that has no section of its own. */
function keyRows(key: string, schema: Schema): string[] {
  const row = `| \`${key}\` | ${typeOf(schema)} | ${schema.description ?? ""} |`;
  const { key: innerKey, properties } = innerObject(key, schema);
  return [
    row,
    ...Object.entries(properties).flatMap(([name, each]) => keyRows(`${innerKey}.${name}`, each as Schema)),
  ];
}

function innerObject(
  key: string,
  schema: Schema,
): { key: string; properties: Schema["properties"] & object } {
  if (schema.properties) return { key, properties: schema.properties };
  if (schema.items) return innerObject(`${key}[]`, schema.items as Schema);
  const inner = schema.anyOf?.find((each) => (each as Schema).properties ?? (each as Schema).items);
  return inner ? innerObject(key, inner as Schema) : { key, properties: {} };
}

function typeOf(schema: Schema): string {
  if (schema.$ref) return linkTo(schema.$ref);
  if (schema.allOf) return schema.allOf.map((each) => typeOf(each as Schema)).join(" and ");
  if (schema.anyOf) return schema.anyOf.map((each) => typeOf(each as Schema)).join(" or ");
  if (schema.enum) return schema.enum.map((each) => `\`"${each}"\``).join(", ");
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.type === "array") return `list of ${typeOf((schema.items ?? {}) as Schema)}`;
  if (schema.type === "object" && !schema.properties) return "object of strings";
  return schema.type === undefined ? "any" : [schema.type].flat().join(" or ");
}

function linkTo(reference: string): string {
  const name = reference.replace("#/$defs/", "");
  return `[${name}](#${name.toLowerCase()})`;
}

function jsonSchemaOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: "output", unrepresentable: "any" });
}
