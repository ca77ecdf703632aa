import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { toJsonSchema } from "../src/policy/file/describe.ts";

/**
 * Writes packaging/policy.schema.json, with which editors complete and check policy files, from the schema of
 * `policy check`. With --check it writes nothing and fails when the file differs.
 */
const FILE = resolve(import.meta.dir, "../packaging/policy.schema.json");
const text = `${JSON.stringify(toJsonSchema(), undefined, 2)}\n`;

if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from the schema: run scripts/policySchema.ts`);
  process.exit(1);
}
