import { accessSync, constants, readdirSync, readFileSync, statSync } from "node:fs";
import type { Host } from "../host.ts";
import { commOf } from "./comm.ts";
import { listPids } from "./table.ts";

/** Where programs are in a login shell: the PATH of a service can be shorter. */
const USUAL_DIRECTORIES = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
  "/snap/bin",
];

/** The commands that can be started by name on this machine, and those that run. Each is read when first asked for. */
export class InstalledPrograms {
  readonly #host: Host;
  readonly #directories: readonly string[];
  #running: Set<string> | undefined;
  #installed: string[] | undefined;

  constructor(host: Host, path = process.env["PATH"] ?? "") {
    this.#host = host;
    this.#directories = [...new Set([...path.split(":").filter(Boolean), ...USUAL_DIRECTORIES])];
  }

  /** Returns whether a program of this name is installed, or a process has it. */
  has(name: string): boolean {
    if (this.#directories.some((directory) => isExecutable(`${directory}/${name}`))) return true;
    this.#running ??= this.#readRunning();
    return this.#running.has(commOf(name));
  }

  /** Lists the names of all installed programs. */
  list(): readonly string[] {
    this.#installed ??= this.#directories.flatMap((directory) => {
      try {
        return readdirSync(directory);
      } catch {
        return [];
      }
    });
    return this.#installed;
  }

  #readRunning(): Set<string> {
    const names = listPids(this.#host).flatMap((pid) => {
      try {
        return readFileSync(`${this.#host.procRoot}/${pid}/comm`, "utf8").replace(/\n$/, "");
      } catch {
        // It has ended, or is hidden from this user.
        return [];
      }
    });
    return new Set(names);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
