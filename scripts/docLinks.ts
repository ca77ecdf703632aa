import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Fails if a document names a file of the project that does not exist, or a function or a test that a linked
 * file does not have. Prints file, line and reason of each. Recognizes links, "[text](path) → `name`",
 * "[text](path): "test name"" and paths such as `src/main.ts`. A decision record may name files that existed
 * when it was written.
 */
const ROOT = resolve(import.meta.dir, "..");
const documents = ["*.md", "docs/**/*.md"].flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)]);

/** A link's path, then the name of a function after an arrow, or the name of a test in quotes. */
const LINK = /\]\(([^)\s#]+)[^)]*\)(?:\s+→\s+`([\w.]+)`|:\s+"([^"]+)")?/g;
const SOURCE_PATH = /`((?:src|test|scripts|packaging|bench)\/[^`\s*…]+)`/g;

let faults = 0;
for (const document of documents) {
  const text = readFileSync(resolve(ROOT, document), "utf8");
  const report = (index: number, reason: string) => {
    console.error(`${document}:${text.slice(0, index).split("\n").length}: ${reason}`);
    faults++;
  };
  for (const { 1: target = "", 2: symbol, 3: test, index } of text.matchAll(LINK)) {
    const reason = faultOfLink(resolve(ROOT, dirname(document)), target, symbol, test);
    if (reason !== undefined) report(index, reason);
  }
  if (document.startsWith("docs/adr/")) continue;
  for (const { 1: path = "", index } of text.matchAll(SOURCE_PATH))
    if (!existsSync(resolve(ROOT, path))) report(index, `${path} does not exist`);
}
process.exit(faults === 0 ? 0 : 1);

function faultOfLink(folder: string, target: string, symbol?: string, test?: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const path = resolve(folder, target);
  if (!existsSync(path)) return `${target} does not exist`;
  const content = readFileSync(path, "utf8");
  const absent =
    symbol?.split(".").find((name) => !new RegExp(`\\b${name}\\b`).test(content)) ??
    (content.includes(test ?? "") ? undefined : test);
  return absent === undefined ? undefined : `${target} does not contain "${absent}"`;
}
