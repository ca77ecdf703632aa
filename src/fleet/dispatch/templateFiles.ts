import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { isNodeName } from "../token.ts";

const SUFFIX = ".yaml";

/** Returns the directory of this machine's templates, one file NAME.yaml for each: it is beside root's permission. */
export function templateDirectory(acceptFile: string): string {
  return join(dirname(acceptFile), "templates.d");
}

export function templateFile(directory: string, name: string): string {
  return join(directory, `${name}${SUFFIX}`);
}

/** Returns the names of the templates of this machine, sorted, also of those that cannot be used. */
export function templateNames(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .filter(isNodeName)
      .sort();
  } catch {
    return [];
  }
}
