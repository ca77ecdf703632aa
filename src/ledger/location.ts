import { crc32 } from "../sys/crc32.ts";
import { lastName, resolvePath } from "../sys/paths.ts";

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
  const name = lastName(asked);
  const isFile = (name.endsWith(".json") && name !== ".json") || (name.endsWith(".db") && name !== ".db");
  const directory = resolvePath(asked.startsWith("/") ? "/" : process.cwd(), asked, isFile ? ".." : "");
  const join = (name: string): string => `${directory === "/" ? "" : directory}/${name}`;
  return {
    directory,
    ledger: join("ledger.db"),
    /** The records of plain launches that are not in the ledger yet. */
    inbox: join(INBOX),
    /** Output of workloads started with `run --detach`. */
    logs: join("logs"),
    /** Messages of ffrtmp itself where it has no terminal. */
    ownLog: join("ffrtmp.log"),
    watchLock: join("watch.lock"),
    /** Locked while a process writes the weights of gates. */
    gateLock: join("gates.lock"),
    /** Launches that a later `run` repeats. */
    launches: join("launches"),
    /** Where `ffrtmp watch` answers requests; in `directory`. */
    controlSocket: "watch.sock",
    tag: tagOf(directory),
  };
}

/** Returns six hex digits that differ between state directories; part of every cgroup name of its jobs. */
export function tagOf(directory: string): string {
  return crc32(directory).toString(16).padStart(8, "0").slice(0, 6);
}

/** Returns the state directory of an ordinary user, unless another one is named. */
export function userState(home: string, stateHome?: string): string {
  const path = `${stateHome || `${home}/.local/state`}/ffrtmp`;
  return path.startsWith("/") ? resolvePath(path) : path;
}

function defaultDirectory(environment: NodeJS.ProcessEnv): string {
  if (process.geteuid?.() === 0) return ROOT_STATE;
  return userState(homeDirectory(environment), environment["XDG_STATE_HOME"]);
}

function homeDirectory(environment: NodeJS.ProcessEnv): string {
  try {
    // Required here, not imported: loading it takes 0.5 ms, which a start that knows its home must not pay.
    return environment["HOME"] || (require("node:os") as typeof import("node:os")).userInfo().homedir;
  } catch {
    // A user without an entry in the user database, as in containers, whose runtimes set this home.
    return "/";
  }
}
