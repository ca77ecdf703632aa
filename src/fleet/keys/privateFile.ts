import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { Refusal } from "../../jobs/errors.ts";

/** The bits of a mode by which users other than the owner and the group of a file can read or write it. */
const OTHERS = 0o007;

/**
 * Reads a file with a secret. Throws a Refusal where any user can read or write it: the secret may be known already. Throws
 * errors of the file system.
 */
export function readSecret(path: string): string {
  const fd = openSync(path, "r");
  try {
    const { mode } = fstatSync(fd);
    if ((mode & OTHERS) !== 0)
      throw new Refusal(
        `${path} contains a secret key, and every user of this machine can use it (mode ${(mode & 0o777).toString(8)})`,
        `chmod o= ${path}; and make a new key, if another user may have read this one`,
      );
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a file for this user alone, and for the group `gid` to read, if given. A reader finds the old content or the new one,
 * never a part.
 */
export function writePrivate(path: string, text: string, reader: { gid?: number } = {}): void {
  writeAllPrivate([[path, text]], reader);
}

/** Writes several files in this way. All are on the disk before the first takes its name; if one fails, none has changed. */
export function writeAllPrivate(
  files: readonly (readonly [path: string, text: string])[],
  { gid }: { gid?: number } = {},
): void {
  const drafts = files.map(([path]) => `${path}.new`);
  try {
    for (const [index, [, text]] of files.entries()) {
      const draft = drafts[index] as string;
      rmSync(draft, { force: true });
      writeFileSync(draft, text, { mode: 0o600, flag: "wx", flush: true });
      if (gid === undefined) continue;
      chownSync(draft, -1, gid);
      chmodSync(draft, 0o640);
    }
    for (const [index, [path]] of files.entries()) renameSync(drafts[index] as string, path);
  } catch (error) {
    // A part of a key must not stay behind.
    for (const draft of drafts) rmSync(draft, { force: true });
    throw error;
  }
}
