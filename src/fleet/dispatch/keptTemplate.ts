import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../trust/durableFile.ts";

const FILE_MODE = 0o640;

/** Returns where the agent puts the document with a template. */
export function signedTemplateFile(directory: string, name: string): string {
  return join(directory, `${name}.json`);
}

/** Writes what the hub has sent, for the runner to verify. A reader finds the old document or the new one. */
export function keepSignedTemplate(directory: string, name: string, text: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  writeWhole(signedTemplateFile(directory, name), text, FILE_MODE);
}
