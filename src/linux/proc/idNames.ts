import { readFileSync, statSync } from "node:fs";

export const USERS_FILE = "/etc/passwd";
export const GROUPS_FILE = "/etc/group";

const CHECK_INTERVAL_MS = 1000;
// www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
const ENTRY = /^([^:\n]+):[^:\n]*:(\d+)(?=:|$)/gm;

/** Returns all names of a passwd(5) or group(5) file; `undefined` where it cannot be read. */
export function readNames(path: string): Set<string> | undefined {
  try {
    return new Set(Array.from(readFileSync(path, "utf8").matchAll(ENTRY), ([, name = ""]) => name));
  } catch {
    return undefined;
  }
}

/** The names of a passwd(5) or group(5) file, at most a second old. A directory service is not asked. */
export class IdNames {
  readonly #path: string;
  #names = new Map<number, string>();
  #ids = new Map<string, number>();
  #checkedMs = Number.NEGATIVE_INFINITY;
  #version = "";

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns the first name of an id in the file; `undefined` when there is none. */
  nameOf(id: number, nowMs: number): string | undefined {
    this.#check(nowMs);
    return this.#names.get(id);
  }

  /** Returns the id of a name in the file; `undefined` when there is none. */
  idOf(name: string, nowMs: number): number | undefined {
    this.#check(nowMs);
    return this.#ids.get(name);
  }

  #check(nowMs: number): void {
    if (Math.abs(nowMs - this.#checkedMs) < CHECK_INTERVAL_MS) return;
    this.#checkedMs = nowMs;
    try {
      const { ino, size, mtimeMs } = statSync(this.#path);
      const version = `${ino} ${size} ${mtimeMs}`;
      if (version === this.#version) return;
      const lines = readFileSync(this.#path, "utf8").matchAll(ENTRY);
      const entries = [...lines].map(([, name = "", id]) => ({ name, id: Number(id) })).toReversed();
      // The first name of an id counts: of equal keys, a map keeps the last one.
      this.#names = new Map(entries.map(({ name, id }) => [id, name]));
      this.#ids = new Map(entries.map(({ name, id }) => [name, id]));
      this.#version = version;
    } catch {
      // The file is missing or being replaced: keep the names that are known.
    }
  }
}
