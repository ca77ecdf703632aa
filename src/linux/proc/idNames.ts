import { readFileSync, statSync } from "node:fs";

const CHECK_INTERVAL_MS = 1000;

/**
 * Names of users or groups, from /etc/passwd or /etc/group: name:password:id:… (passwd(5), group(5)). What a directory
 * service knows besides has no name here. Follows changes of the file, a second behind at most.
 */
export class IdNames {
  readonly #path: string;
  #names = new Map<number, string>();
  #checkedMs = Number.NEGATIVE_INFINITY;
  #version = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** The first name that the file gives an id; `undefined` when it gives none. */
  nameOf(id: number, nowMs: number): string | undefined {
    if (Math.abs(nowMs - this.#checkedMs) >= CHECK_INTERVAL_MS) this.#check(nowMs);
    return this.#names.get(id);
  }

  #check(nowMs: number): void {
    this.#checkedMs = nowMs;
    try {
      const { ino, size, mtimeMs } = statSync(this.#path);
      const version = `${ino} ${size} ${mtimeMs}`;
      if (version === this.#version) return;
      this.#names = parseIdNames(readFileSync(this.#path, "utf8"));
      this.#version = version;
    } catch {
      // Not there, or in the middle of being replaced: what was known goes on to hold.
    }
  }
}

// www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
function parseIdNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name && id && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
