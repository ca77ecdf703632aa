import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Fails when a document links to a file that does not exist, or names a function or a test that the linked file does
 * not have. Prints file, line and reason of each. Recognised are `[text](path) → `name`` and `[text](path): "test name"`.
 */
const ROOT = resolve(import.meta.dir, "..");
const documents = ["*.md", "docs/**/*.md"].flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)]);

/** The link's path, then the name of a function after an arrow, or the name of a test in quotes. */
const REFERENCE = /\]\(([^)\s#]+)[^)]*\)(?:\s+→\s+`([\w.]+)`|:\s+"([^"]+)")?/g;

let faults = 0;
for (const document of documents) {
  const text = readFileSync(resolve(ROOT, document), "utf8");
  for (const { 1: target = "", 2: symbol, 3: test, index } of text.matchAll(REFERENCE)) {
    const reason = faultOf(resolve(ROOT, dirname(document)), target, symbol, test);
    if (reason === undefined) continue;
    console.error(`${document}:${text.slice(0, index).split("\n").length}: ${reason}`);
    faults++;
  }
}
process.exit(faults === 0 ? 0 : 1);

function faultOf(folder: string, target: string, symbol?: string, test?: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const path = resolve(folder, target);
  if (!existsSync(path)) return `${target} does not exist`;
  const content = readFileSync(path, "utf8");
  const absent =
    symbol?.split(".").find((name) => !new RegExp(`\\b${name}\\b`).test(content)) ??
    (content.includes(test ?? "") ? undefined : test);
  return absent === undefined ? undefined : `${target} does not contain "${absent}"`;
}
