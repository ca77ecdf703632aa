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
    const membership = readMembership(host, "self");
    const paths = membership === "gone" ? [] : [...membership.values()];
    this.#ownContainers = new Set(paths.flatMap(parseContainers));
  }

  /** Returns the facts of a process whose stat was just read. Every other fact is read when first used. */
  of(stat: ProcStat, job?: FactsOfJob): ProcessFacts {
    return new LiveFacts(this, stat, job);
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
    let resolved = this.#resolved.get(path);
    if (resolved === undefined) {
      resolved = followLinks(path);
      this.#resolved.set(path, resolved);
    }
    return resolved;
  }
}

class LiveFacts implements ProcessFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly isGoverned: boolean;
  readonly #reader: FactReader;
  readonly #stat: ProcStat;
  readonly #job: FactsOfJob | undefined;

  constructor(reader: FactReader, stat: ProcStat, job: FactsOfJob | undefined) {
    this.#reader = reader;
    this.#stat = stat;
    this.#job = job;
    this.pid = stat.pid;
    this.ppid = stat.ppid;
    this.isGoverned = job?.isGoverned ?? false;
  }

  get argv(): readonly string[] {
    return this.#keep("argv", visible(() => readArguments(this.#reader.host, this.pid)) ?? []);
  }

  get executable(): string | undefined {
    return this.#keep("executable", readExecutable(this.#reader.host, this.pid));
  }

  get names(): ProcessNames {
    return this.#keep("names", namesOf(this.#stat.comm, this.argv[0], this.executable));
  }

  get uid(): number | undefined {
    return this.#readIds().uid;
  }

  get gid(): number | undefined {
    return this.#readIds().gid;
  }

  get user(): string | undefined {
    const { uid } = this;
    const { users, host } = this.#reader;
    return this.#keep("user", uid === undefined ? undefined : users.nameOf(uid, host.now()));
  }

  get group(): string | undefined {
    const { gid } = this;
    const { groups, host } = this.#reader;
    return this.#keep("group", gid === undefined ? undefined : groups.nameOf(gid, host.now()));
  }

  get cwd(): string | undefined {
    const path = readWorkingDirectory(this.#reader.host, this.pid);
    return this.#keep("cwd", path?.replace(/ \(deleted\)$/, ""));
  }

  get ancestors(): readonly ProcessNames[] {
    return this.#keep("ancestors", readAncestors(this.#reader.host, this.ppid));
  }

  get cgroups(): readonly string[] {
    return this.#keep("cgroups", this.#job?.cgroups ?? this.#readCgroups());
  }

  get container(): string | undefined {
    return this.#keep("container", this.#reader.container(this.cgroups));
  }

  get ageMs(): number {
    return this.#keep("ageMs", readAgeMs(this.#reader.host, this.#stat.startTicks));
  }

  get environment(): ReadonlyMap<string, string> | undefined {
    return this.#keep(
      "environment",
      visible(() => readEnvironment(this.#reader.host, this.pid)),
    );
  }

  resolve(path: string): string {
    return this.#reader.resolve(path);
  }

  /** Replaces the getter of a fact by its value, so that the fact is read once. */
  #keep<K extends keyof ProcessFacts>(name: K, value: ProcessFacts[K]): ProcessFacts[K] {
    Object.defineProperty(this, name, { value });
    return value;
  }

  #readIds(): Partial<Credentials> {
    const credentials = visible(() => readCredentials(this.#reader.host, this.pid)) ?? "gone";
    const ids: Partial<Credentials> = credentials === "gone" ? {} : credentials;
    this.#keep("uid", ids.uid);
    this.#keep("gid", ids.gid);
    return ids;
  }

  #readCgroups(): readonly string[] {
    const membership = visible(() => readMembership(this.#reader.host, this.pid)) ?? "gone";
    return membership === "gone" ? [] : [...membership.values()];
  }
}

function readAncestors(host: Host, parent: number): ProcessNames[] {
  const ancestors: ProcessNames[] = [];
  for (let pid = parent; pid > 0 && ancestors.length < MAX_ANCESTORS; ) {
    const stat = visible(() => readStat(host, pid)) ?? "gone";
    if (stat === "gone") break;
    const argv = visible(() => readArguments(host, stat.pid)) ?? [];
    ancestors.push(namesOf(stat.comm, argv[0], readExecutable(host, stat.pid)));
    pid = stat.ppid;
  }
  return ancestors;
}

/** `PATH=/usr/bin\0TIER=gold\0`. The first value of a repeated variable counts, as for getenv(3). */
function readEnvironment(host: Host, pid: number): ReadonlyMap<string, string> | undefined {
  const text = readProcFile(host, `${pid}/environ`);
  if (text === "gone") return undefined;
  const variables = new Map<string, string>();
  for (const entry of text.split("\0")) {
    const at = entry.indexOf("=");
    if (at > 0 && !variables.has(entry.slice(0, at))) variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return variables;
}

/** Returns `undefined` for a fact that the kernel does not let us read. */
function visible<T>(read: () => T): T | undefined {
  try {
    return read();
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
