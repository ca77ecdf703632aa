import { userInfo } from "node:os";
import { dirname, extname, join, resolve } from "node:path";

/** The files of one state directory. */
export interface StateFiles {
  directory: string;
  ledger: string;
  /** Output of workloads started with `run --detach`. */
  logs: string;
  /** What ffrtmp itself says while nobody's terminal is there. */
  ownLog: string;
  watchLock: string;
  /** Six hex digits that differ from one state directory to another; part of every cgroup name of its jobs. */
  tag: string;
}

/**
 * Where the state is kept: the option, `FFRTMP_STATE`, `/var/lib/ffrtmp` for root, the XDG state directory otherwise.
 * A path that ends in .json or .db, as an older system's `--state-path` does, stands for the directory that it lies in.
 */
export function locateState(option: string | undefined, environment: NodeJS.ProcessEnv): StateFiles {
  const asked = option || environment["FFRTMP_STATE"];
  const directory = resolve(asked ? directoryFrom(asked) : defaultDirectory(environment));
  return {
    directory,
    ledger: join(directory, "ledger.db"),
    logs: join(directory, "logs"),
    ownLog: join(directory, "ffrtmp.log"),
    watchLock: join(directory, "watch.lock"),
    tag: Bun.hash.crc32(directory).toString(16).padStart(8, "0").slice(0, 6),
  };
}

function directoryFrom(path: string): string {
  return [".json", ".db"].includes(extname(path)) ? dirname(path) : path;
}

function defaultDirectory(environment: NodeJS.ProcessEnv): string {
  if (process.geteuid?.() === 0) return "/var/lib/ffrtmp";
  return join(environment["XDG_STATE_HOME"] || join(homeDirectory(environment), ".local/state"), "ffrtmp");
}

function homeDirectory(environment: NodeJS.ProcessEnv): string {
  try {
    return environment["HOME"] || userInfo().homedir;
  } catch {
    // A user that no user database knows, as containers have; their runtimes give such a user this home.
    return "/";
  }
}
