import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { documentTexts, eventKindTexts, JSON_RULES, objectTexts } from "./generate/jsonModel.ts";

/**
 * Writes docs/json.md from the schemas that the tests check each JSON output against. With --check, writes nothing and
 * fails if the file differs.
 */
const FILE = resolve(import.meta.dir, "../docs/json.md");

const text = [
  "# JSON output\n",
  ...JSON_RULES.slice(0, 1).map((rule) => `${rule}\n`),
  ...JSON_RULES.slice(1).map((rule) => `- ${rule}`),
  "\nThis page is made from the schemas that the tests check each output against (`scripts/jsonPage.ts`).\n",
  "## Documents\n",
  ...table(
    ["command", "prints"],
    documentTexts(link).map(({ commandLine, type }) => [`\`${commandLine}\``, type]),
  ),
  ...objectTexts(link).flatMap(({ name, description, keys }) => [
    `## ${name}\n`,
    `${description}\n`,
    ...table(
      ["key", "type", "meaning"],
      keys.map(({ key, type, meaning }) => [`\`${key}\``, type, meaning]),
    ),
  ]),
  "## Kinds of events\n",
  ...table(
    ["kind", "meaning", "detail"],
    eventKindTexts().map(({ kind, meaning, detail }) => [`\`${kind}\``, meaning, detail]),
  ),
].join("\n");
if (!process.argv.includes("--check")) writeFileSync(FILE, text);
else if (readFileSync(FILE, "utf8") !== text) {
  console.error(`${FILE} differs from the schemas: run scripts/jsonPage.ts`);
  process.exit(1);
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}

function table(headings: string[], rows: string[][]): string[] {
  const lines = [headings, headings.map(() => "---"), ...rows];
  return [...lines.map((cells) => `| ${cells.join(" | ")} |`), ""];
}
