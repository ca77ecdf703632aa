import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { groupOf } from "./policyBox.ts";
import { until } from "./sandbox.ts";

/** The uid of nobody, a user who owns nothing else. */
export const STRANGER = 65534;
export const AS_STRANGER = ["setpriv", `--reuid=${STRANGER}`, `--regid=${STRANGER}`, "--clear-groups"];

const CONTROLLERS = ["cpu", "memory", "pids"];

/** Returns the reason why no subtree can be delegated here, or `undefined`. */
export function lacksDelegation(): string | undefined {
  const hierarchies = readHierarchies(realHost());
  const isV1 = (name: string) =>
    hierarchies.some(({ version, controllers }) => version === 1 && controllers.includes(name));
  return CONTROLLERS.every(isV1) ? undefined : "delegates directories of cgroup v1 hierarchies";
}

/**
 * A cgroup below that of the test in some v1 hierarchies, which another user owns, as systemd or a container runtime
 * delegates one. Disposing of it kills what is in it and removes it.
 */
export class DelegatedCgroup implements AsyncDisposable {
  readonly paths: readonly string[];

  constructor(name: string, { controllers = CONTROLLERS, owner = STRANGER } = {}) {
    this.paths = controllers.map(
      (controller) => `${groupOf(process.pid, controller).replace(/\/$/, "")}/${name}`,
    );
    for (const path of this.paths) this.make(path, owner);
  }

  /** Makes a cgroup in each hierarchy. */
  makeBelow(name: string, owner = STRANGER): string[] {
    const below = this.paths.map((path) => `${path}/${name}`);
    for (const path of below) this.make(path, owner);
    return below;
  }

  make(path: string, owner: number): void {
    mkdirSync(path);
    for (const each of [path, `${path}/tasks`, `${path}/cgroup.procs`]) chownSync(each, owner, owner);
  }

  /** Returns the start of a shell script that moves its shell into cgroups. */
  static enter(paths: readonly string[]): string {
    return paths.map((path) => `echo 0 >'${path}/cgroup.procs' && `).join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.paths) {
      await until(`${path} is removed`, () => {
        for (const pid of membersBelow(path)) process.kill(pid, "SIGKILL");
        removeBelow(path);
        return !existsSync(path);
      });
    }
  }
}

function directoriesBelow(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return [...entries.flatMap(({ name }) => directoriesBelow(`${path}/${name}`)), path];
  } catch {
    return [];
  }
}

function membersBelow(path: string): number[] {
  return directoriesBelow(path).flatMap((directory) => {
    try {
      return readFileSync(`${directory}/cgroup.procs`, "utf8").split("\n").filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}

function removeBelow(path: string): void {
  for (const directory of directoriesBelow(path)) {
    try {
      rmdirSync(directory);
    } catch {
      // A process in it has not ended yet, and the caller tries again.
    }
  }
}
