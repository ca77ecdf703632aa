import { readFileSync, statSync } from "node:fs";

const CHECK_INTERVAL_MS = 1000;

/** The names of a passwd(5) or group(5) file, at most a second old. A directory service is not asked. */
export class IdNames {
  readonly #path: string;
  #names = new Map<number, string>();
  #checkedMs = Number.NEGATIVE_INFINITY;
  #version = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns the first name of an id in the file; `undefined` when there is none. */
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
      // The file is missing or being replaced: keep the names that are known.
    }
  }
}

// www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
function parseIdNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const [, name = "", id] of text.matchAll(/^([^:\n]+):[^:\n]*:(\d+)(?=:|$)/gm)) {
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}
