import { userInfo } from "node:os";
import { dirname, extname, join, resolve } from "node:path";

/** The state directory of root, unless another one is named. */
export const ROOT_STATE = "/var/lib/ffrtmp";

/** The directory of the records of plain launches, in the state directory. */
export const INBOX = "inbox";

/** The files of one state directory. */
export type StateFiles = ReturnType<typeof locateState>;

/**
 * Returns the state directory: from the option, `FFRTMP_STATE`, `/var/lib/ffrtmp` for root, or the XDG state directory.
 * A path that ends in .json or .db, as an older system's `--state-path` does, means the directory that it is in.
 */
export function locateState(option: string | undefined, environment: NodeJS.ProcessEnv) {
  const asked = option || environment["FFRTMP_STATE"] || defaultDirectory(environment);
  const directory = resolve([".json", ".db"].includes(extname(asked)) ? dirname(asked) : asked);
  return {
    directory,
    ledger: join(directory, "ledger.db"),
    /** The records of plain launches that are not in the ledger yet. */
    inbox: join(directory, INBOX),
    /** Output of workloads started with `run --detach`. */
    logs: join(directory, "logs"),
    /** Messages of ffrtmp itself where it has no terminal. */
    ownLog: join(directory, "ffrtmp.log"),
    watchLock: join(directory, "watch.lock"),
    /** Where `ffrtmp watch` answers requests; in `directory`. */
    controlSocket: "watch.sock",
    tag: tagOf(directory),
  };
}

/** Returns six hex digits that differ between state directories; part of every cgroup name of its jobs. */
export function tagOf(directory: string): string {
  return Bun.hash.crc32(directory).toString(16).padStart(8, "0").slice(0, 6);
}

/** Returns the state directory of an ordinary user, unless another one is named. */
export function userState(home: string, stateHome?: string): string {
  return join(stateHome || join(home, ".local/state"), "ffrtmp");
}

function defaultDirectory(environment: NodeJS.ProcessEnv): string {
  if (process.geteuid?.() === 0) return ROOT_STATE;
  return userState(homeDirectory(environment), environment["XDG_STATE_HOME"]);
}

function homeDirectory(environment: NodeJS.ProcessEnv): string {
  try {
    return environment["HOME"] || userInfo().homedir;
  } catch {
    // A user without an entry in the user database, as in containers, whose runtimes set this home.
    return "/";
  }
}
