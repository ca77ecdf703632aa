import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Imports point one way: a folder may import from itself and from those below it in this list. */
const FOLDERS = [
  "main.ts",
  "cli",
  "web",
  "fleet",
  "watch",
  "report",
  "govern",
  "policy",
  "ledger",
  "kernel",
  "sys",
];

const faults: string[] = [];
for (const file of new Bun.Glob("src/**/*.ts").scanSync()) {
  if (file.endsWith(".test.ts")) continue;
  for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(
    /\b(?:from|import)\s*\(?\s*"([^"]+)"/g,
  )) {
    if (specifier === "bun:ffi" && folderOf(file) !== "sys") {
      faults.push(`${file} imports bun:ffi: only src/sys makes system calls`);
    }
    if (!specifier.startsWith(".")) continue;
    const imported = normalize(join(dirname(file), specifier));
    if (!imported.startsWith("src/")) continue;
    const [from, to] = [rankOf(file), rankOf(imported)];
    if (from < 0 || to < 0)
      faults.push(`${from < 0 ? file : imported} lies in no folder that scripts/checkImports.ts knows`);
    else if (to < from)
      faults.push(`${file} imports ${imported}: ${folderOf(file)} is below ${folderOf(imported)}`);
  }
}
for (const fault of faults) console.error(fault);
process.exit(faults.length === 0 ? 0 : 1);

function folderOf(file: string): string {
  return file.split("/")[1] ?? "";
}

function rankOf(file: string): number {
  return FOLDERS.indexOf(folderOf(file));
}
