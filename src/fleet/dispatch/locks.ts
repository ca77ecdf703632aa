import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { Acceptance } from "./accept.ts";
import { templateDirectory, templateFile, templateNames } from "./templateFiles.ts";

/** What root allows on this machine, as its files said when they had `stamp`. */
export interface Locks {
  readonly stamp: string;
  /** `null`: dispatch is off, or `fault` says why the file cannot be used. */
  readonly acceptance: (Omit<Acceptance, "trusted"> & { readonly trusted: readonly string[] }) | null;
  readonly fault: string | null;
  /** The templates by their names, with the reason why one cannot be used; `null`: it can. */
  readonly templates: Readonly<Record<string, string | null>>;
}

/** Returns a text that changes with each file that `readLocks` reads, and with who can change it. */
export function stampOfLocks(accept: string): string {
  const templates = templateDirectory(accept);
  const files = templateNames(templates).map((name) => templateFile(templates, name));
  // The user of the jobs must exist.
  const contents = [accept, ...files, "/etc/passwd", "/etc/group"].map(contentStamp);
  return [...contents, ...[dirname(accept), templates].map(ownerStamp)].join(" ");
}

function contentStamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "-" : `${stat.ino}:${stat.ctimeMs}:${stat.size}`;
}

/** Other files in a directory change its times. */
function ownerStamp(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "-" : `${stat.uid}:${stat.gid}:${stat.mode}`;
}
