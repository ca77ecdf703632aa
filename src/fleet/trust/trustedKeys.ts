import { readFileSync } from "node:fs";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { isSigningPublicKey } from "../keys/signingKey.ts";
import { writeWhole } from "./durableFile.ts";

/** The keys of a file; `fault` says why it cannot be used, and then no key is trusted. */
export interface TrustedKeys {
  readonly keys: ReadonlySet<string>;
  readonly fault: string | undefined;
}

// # operator of the video platform, 2026
// OAGDQ6ZB3O5TTQRDVZSKCFPKYMMNWCB43UKJFBMXXDVVUDDE7BGKZJIX
/**
 * Reads the keys that root trusts. A file that does not exist trusts no key. A line that is no key makes the whole file
 * unusable: a key that was cut off must not look like one that was removed.
 */
export function readTrustedKeys(file: string): TrustedKeys {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { keys: new Set(), fault: undefined };
    return { keys: new Set(), fault: `${file} cannot be read: ${describeErrno(error)}` };
  }
  const keys = new Set<string>();
  for (const [index, line] of text.split("\n").entries()) {
    const key = line.replace(/#.*/, "").trim();
    if (key === "") continue;
    if (!isSigningPublicKey(key))
      return { keys: new Set(), fault: `${file}, line ${index + 1} is no public key of an operator (O…)` };
    keys.add(key);
  }
  return { keys, fault: undefined };
}

/** Writes the file, which every user may read: its keys are public. Throws errors of the file system. */
export function writeTrustedKeys(file: string, lines: readonly string[]): void {
  writeWhole(file, lines.map((line) => `${line}\n`).join(""), 0o644);
}
