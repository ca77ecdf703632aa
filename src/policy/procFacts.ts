import { realpathSync } from "node:fs";
import { readMembership } from "../linux/cgroup/hierarchies.ts";
import { type Host, isForbidden, readProcFile } from "../linux/host.ts";
import { parseContainers } from "../linux/proc/container.ts";
import { IdNames } from "../linux/proc/idNames.ts";
import { type ProcStat, readAgeMs, readStat } from "../linux/proc/stat.ts";
import { type Credentials, readCredentials } from "../linux/proc/status.ts";
import { readArguments, readExecutable, readWorkingDirectory } from "../linux/proc/table.ts";
import type { ProcessFacts, ProcessNames } from "./facts.ts";
import { namesOf } from "./namePattern.ts";

const RESOLVE_INTERVAL_MS = 1000;
/** PIDs can be reused while we walk up, and form a circle. */
const MAX_ANCESTORS = 256;

/** Facts of a job that /proc does not show. */
export interface FactsOfJob {
  isGoverned: boolean;
  /** The cgroups that the process would be in if it were no job. */
  cgroups: readonly string[];
}

/** Reads the facts that policies ask for; one for all processes of a host. */
export class FactReader {
  readonly host: Host;
  readonly users: IdNames;
  readonly groups: IdNames;
  /** The containers that ffrtmp itself is in. A process in them alone is a process of the host. */
  readonly #ownContainers: ReadonlySet<string>;
  #resolved = new Map<string, string>();
  #resolvedSinceMs = 0;

  constructor(host: Host, { users = "/etc/passwd", groups = "/etc/group" } = {}) {
    this.host = host;
    this.users = new IdNames(users);
    this.groups = new IdNames(groups);
    this.#ownContainers = new Set(readCgroups(host, "self").flatMap(parseContainers));
  }

  /** Returns the facts of a process whose stat was just read. Every other fact is read when first used. */
  of(stat: ProcStat, job?: FactsOfJob): ProcessFacts {
    const facts = {
      __proto__: UNREAD,
      reader: this,
      stat,
      job,
      pid: stat.pid,
      ppid: stat.ppid,
      isGoverned: job?.isGoverned ?? false,
    };
    return facts as unknown as Subject;
  }

  container(cgroups: readonly string[]): string | undefined {
    return cgroups.flatMap(parseContainers).find((id) => !this.#ownContainers.has(id));
  }

  /** Keeps results for a second: every process is compared with the same few paths. */
  resolve(path: string): string {
    const nowMs = this.host.now();
    if (Math.abs(nowMs - this.#resolvedSinceMs) >= RESOLVE_INTERVAL_MS) {
      this.#resolved.clear();
      this.#resolvedSinceMs = nowMs;
    }
    const resolved = this.#resolved.get(path) ?? followLinks(path);
    this.#resolved.set(path, resolved);
    return resolved;
  }
}

interface Subject extends ProcessFacts {
  reader: FactReader;
  stat: ProcStat;
  job: FactsOfJob | undefined;
  ids: Partial<Credentials>;
}

type UnreadFact = Exclude<
  keyof Subject,
  "reader" | "stat" | "job" | "pid" | "ppid" | "isGoverned" | "resolve"
>;

/** Each reads one fact. `undefined` is a fact that the kernel does not let us read. */
const READERS: { [F in UnreadFact]: (facts: Subject, reader: FactReader) => Subject[F] } = {
  argv: ({ pid }, { host }) => visible(() => readArguments(host, pid)) ?? [],
  executable: ({ pid }, { host }) => readExecutable(host, pid),
  names: ({ stat, argv, executable }) => namesOf(stat.comm, argv[0], executable),
  ids: ({ pid }, { host }) => visible(() => readCredentials(host, pid)) ?? {},
  uid: ({ ids }) => ids.uid,
  gid: ({ ids }) => ids.gid,
  user: ({ uid }, { users, host }) => (uid === undefined ? undefined : users.nameOf(uid, host.now())),
  group: ({ gid }, { groups, host }) => (gid === undefined ? undefined : groups.nameOf(gid, host.now())),
  cwd: ({ pid }, { host }) => readWorkingDirectory(host, pid)?.replace(/ \(deleted\)$/, ""),
  ancestors: ({ ppid }, { host }) => readAncestors(host, ppid),
  cgroups: ({ pid, job }, { host }) => job?.cgroups ?? readCgroups(host, pid),
  container: ({ cgroups }, reader) => reader.container(cgroups),
  ageMs: ({ stat }, { host }) => readAgeMs(host, stat.startTicks),
  environment: ({ pid }, { host }) => visible(() => readEnvironment(host, pid)),
};

/** The prototype of facts that are not read yet. */
const UNREAD = {
  resolve(this: Subject, path: string): string {
    return this.reader.resolve(path);
  },
};
for (const [fact, read] of Object.entries(READERS)) {
  Object.defineProperty(UNREAD, fact, {
    get(this: Subject) {
      const value = read(this, this.reader);
      // Hides this getter, so that the fact is read once.
      Object.defineProperty(this, fact, { value });
      return value;
    },
  });
}

function readAncestors(host: Host, parent: number): ProcessNames[] {
  const ancestors: ProcessNames[] = [];
  for (let pid = parent; pid > 0 && ancestors.length < MAX_ANCESTORS; ) {
    const stat = visible(() => readStat(host, pid));
    if (stat === undefined) break;
    const argv = visible(() => readArguments(host, stat.pid)) ?? [];
    ancestors.push(namesOf(stat.comm, argv[0], readExecutable(host, stat.pid)));
    pid = stat.ppid;
  }
  return ancestors;
}

function readCgroups(host: Host, pid: number | "self"): string[] {
  return [...(visible(() => readMembership(host, pid))?.values() ?? [])];
}

/** `PATH=/usr/bin\0TIER=gold\0`. The first value of a repeated variable counts, as for getenv(3). */
function readEnvironment(host: Host, pid: number): ReadonlyMap<string, string> | "gone" {
  const text = readProcFile(host, `${pid}/environ`);
  if (text === "gone") return "gone";
  const variables = new Map<string, string>();
  for (const entry of text.split("\0")) {
    const at = entry.indexOf("=");
    if (at > 0 && !variables.has(entry.slice(0, at))) variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return variables;
}

/** Returns `undefined` for a process that is gone, and for a fact that the kernel does not let us read. */
function visible<T>(read: () => T | "gone"): T | undefined {
  try {
    const fact = read();
    return fact === "gone" ? undefined : fact;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

function followLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
