import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApiDocument } from "./generate/openApiDocument.ts";

/**
 * Writes packaging/openapi.json, the description of the API of `watch --listen`, from the routes and the schemas that the
 * tests check each answer against. Checks it by the schema of OpenAPI 3.1. With --check, writes nothing and fails if the file
 * differs.
 */
const FILE = resolve(import.meta.dir, "../packaging/openapi.json");

const document = openApiDocument();
const text = `${JSON.stringify(document, undefined, 2)}\n`;
const { valid, errors } = await new Validator().validate(document);
if (!valid) {
  console.error(`the document is not as OpenAPI 3.1 asks: ${JSON.stringify(errors, undefined, 2)}`);
  process.exit(1);
}
if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (!existsSync(FILE) || readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from the routes and schemas: run scripts/openApi.ts`);
  process.exit(1);
}
