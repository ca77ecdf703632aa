import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { toJsonSchema } from "../src/policy/file/describe.ts";

/**
 * Writes packaging/policy.schema.json, from the schema of `policy check`. Editors complete and check policy
 * files with it. With --check, writes nothing and fails if the file differs.
 */
const FILE = resolve(import.meta.dir, "../packaging/policy.schema.json");
const text = `${JSON.stringify(toJsonSchema(), undefined, 2)}\n`;

if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from the schema: run scripts/policySchema.ts`);
  process.exit(1);
}
