import { rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directoryOf, type Hierarchy, readHierarchies, readMembership } from "../linux/cgroup/hierarchies.ts";
import { type Host, realHost } from "../linux/host.ts";

/** Enough for scripts that send a message, and no load beside the workloads of the machine. */
const LIMITS: Record<string, string> = {
  "pids.max": "64",
  "memory.max": String(256 * 1024 ** 2),
  "memory.limit_in_bytes": String(256 * 1024 ** 2),
  "cpu.weight": "10",
  "cpu.shares": "102",
};

interface Joined {
  directory: string;
  origin: string;
  version: Hierarchy["version"];
}

/**
 * The cgroup of the commands that `on_end` starts, below that of the daemon. On v1 the hook runner itself is in it, and its
 * children begin there. On v2 each call has a cgroup of its own inside, which the kernel can end with all its processes.
 * Where a directory or a limit cannot be made, the commands run without.
 */
export class HookCgroup {
  readonly #host: Host = realHost();
  readonly #joined: Joined[] = [];
  #count = 0;

  constructor(name: string) {
    const membership = readMembership(this.#host, "self");
    if (membership === "gone") return;
    for (const hierarchy of readHierarchies(this.#host)) {
      const { version, controllers, key } = hierarchy;
      const isUseful = version === 2 || controllers.some((each) => ["pids", "memory", "cpu"].includes(each));
      const origin = directoryOf(hierarchy, membership.get(key) ?? "");
      if (!isUseful || origin === undefined) continue;
      const directory = join(origin, name);
      if (this.#make(directory) && (version === 2 || this.#enter(directory)))
        this.#joined.push({ directory, origin, version });
    }
  }

  /** Creates the cgroup of one call. `undefined` where there is none of v2. */
  createForCall(): string | undefined {
    const parent = this.#joined.find(({ version }) => version === 2)?.directory;
    if (parent === undefined) return undefined;
    const directory = join(parent, String(++this.#count));
    return this.#make(directory) ? directory : undefined;
  }

  /** Ends every process of one call: the kernel does it for a cgroup of v2 (Linux 5.14). */
  static kill(directory: string): void {
    // Not through the file system of cgroups, which writes no such file: only processes of a hook are in this one.
    attempt(() => writeFileSync(join(directory, "cgroup.kill"), "1"));
  }

  /** Removes the cgroup of one call, whose processes are ending. */
  static remove(directory: string): boolean {
    return attempt(() => rmdirSync(directory));
  }

  /** Leaves and removes the cgroup. It stays where a hook has left processes. */
  leave(): void {
    for (const { directory, origin, version } of this.#joined) {
      if (version === 1) this.#enter(origin);
      attempt(() => this.#host.cgroupFs.rmdir(directory));
    }
  }

  #make(directory: string): boolean {
    const { cgroupFs } = this.#host;
    if (!cgroupFs.exists(directory) && !attempt(() => cgroupFs.mkdir(directory))) return false;
    for (const [file, value] of Object.entries(LIMITS)) {
      const path = join(directory, file);
      if (cgroupFs.exists(path)) attempt(() => cgroupFs.write(path, value));
    }
    return true;
  }

  #enter(directory: string): boolean {
    return attempt(() => this.#host.cgroupFs.write(join(directory, "cgroup.procs"), String(process.pid)));
  }
}

/** Returns whether it worked. A machine that does not allow it runs hooks without. */
function attempt(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}
