import { realpathSync } from "node:fs";
import { readMembership } from "../linux/cgroup/hierarchies.ts";
import { type Host, isForbidden, readProcFile } from "../linux/host.ts";
import { readAgeMs } from "../linux/proc/age.ts";
import { parseContainers } from "../linux/proc/container.ts";
import { IdNames } from "../linux/proc/idNames.ts";
import { type ProcStat, readStat } from "../linux/proc/stat.ts";
import { type Credentials, readCredentials } from "../linux/proc/status.ts";
import { readArguments, readExecutable, readWorkingDirectory } from "../linux/proc/table.ts";
import type { ProcessFacts, ProcessNames } from "./facts.ts";
import { namesOf } from "./namePattern.ts";

const RESOLVE_INTERVAL_MS = 1000;
/** Only against a table of processes that changes while we walk up it. */
const MAX_ANCESTORS = 256;

/** What is said of a process besides what /proc tells. */
export interface FactsOfJob {
  isGoverned: boolean;
  /** Where it would be if it were no job. */
  cgroups: readonly string[];
}

/** Reads what policies ask of processes; one for all processes of a host. */
export class FactReader {
  readonly host: Host;
  readonly users: IdNames;
  readonly groups: IdNames;
  /** Containers that we are in ourselves: to us they are the machine. */
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

  /** The facts of a process whose stat was just read; nothing else is read before it is asked for. */
  of(stat: ProcStat, job?: FactsOfJob): ProcessFacts {
    return new LiveFacts(this, stat, job);
  }

  container(cgroups: readonly string[]): string | undefined {
    return cgroups.flatMap(parseContainers).find((id) => !this.#ownContainers.has(id));
  }

  /** Kept for a second: every process is compared with the same few paths. */
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
  #argv: readonly string[] | undefined;
  #executable: { path: string | undefined } | undefined;
  #names: ProcessNames | undefined;
  #credentials: Partial<Credentials> | undefined;
  #cwd: { path: string | undefined } | undefined;
  #ancestors: readonly ProcessNames[] | undefined;
  #cgroups: readonly string[] | undefined;
  #ageMs: number | undefined;
  #environment: { variables: ReadonlyMap<string, string> | undefined } | undefined;

  constructor(reader: FactReader, stat: ProcStat, job: FactsOfJob | undefined) {
    this.#reader = reader;
    this.#stat = stat;
    this.#job = job;
    this.pid = stat.pid;
    this.ppid = stat.ppid;
    this.isGoverned = job?.isGoverned ?? false;
  }

  get argv(): readonly string[] {
    this.#argv ??= visible(() => readArguments(this.#reader.host, this.pid)) ?? [];
    return this.#argv;
  }

  get executable(): string | undefined {
    this.#executable ??= { path: readExecutable(this.#reader.host, this.pid) };
    return this.#executable.path;
  }

  get names(): ProcessNames {
    this.#names ??= namesOf(this.#stat.comm, this.argv[0], this.executable);
    return this.#names;
  }

  get uid(): number | undefined {
    return this.#readCredentials().uid;
  }

  get user(): string | undefined {
    const { uid } = this;
    return uid === undefined ? undefined : this.#reader.users.nameOf(uid, this.#reader.host.now());
  }

  get gid(): number | undefined {
    return this.#readCredentials().gid;
  }

  get group(): string | undefined {
    const { gid } = this;
    return gid === undefined ? undefined : this.#reader.groups.nameOf(gid, this.#reader.host.now());
  }

  get cwd(): string | undefined {
    this.#cwd ??= {
      path: readWorkingDirectory(this.#reader.host, this.pid)?.replace(/ \(deleted\)$/, ""),
    };
    return this.#cwd.path;
  }

  get ancestors(): readonly ProcessNames[] {
    this.#ancestors ??= this.#readAncestors();
    return this.#ancestors;
  }

  get cgroups(): readonly string[] {
    if (this.#job) return this.#job.cgroups;
    if (this.#cgroups === undefined) {
      const membership = visible(() => readMembership(this.#reader.host, this.pid)) ?? "gone";
      this.#cgroups = membership === "gone" ? [] : [...membership.values()];
    }
    return this.#cgroups;
  }

  get container(): string | undefined {
    return this.#reader.container(this.cgroups);
  }

  get ageMs(): number {
    this.#ageMs ??= readAgeMs(this.#reader.host, this.#stat.startTicks);
    return this.#ageMs;
  }

  get environment(): ReadonlyMap<string, string> | undefined {
    this.#environment ??= { variables: visible(() => this.#readEnvironment()) };
    return this.#environment.variables;
  }

  resolve(path: string): string {
    return this.#reader.resolve(path);
  }

  #readCredentials(): Partial<Credentials> {
    if (this.#credentials === undefined) {
      const credentials = visible(() => readCredentials(this.#reader.host, this.pid)) ?? "gone";
      this.#credentials = credentials === "gone" ? {} : credentials;
    }
    return this.#credentials;
  }

  #readAncestors(): ProcessNames[] {
    const { host } = this.#reader;
    const ancestors: ProcessNames[] = [];
    for (let pid = this.ppid; pid > 0 && ancestors.length < MAX_ANCESTORS; ) {
      const stat = visible(() => readStat(host, pid)) ?? "gone";
      if (stat === "gone") break;
      const argv = visible(() => readArguments(host, stat.pid)) ?? [];
      ancestors.push(namesOf(stat.comm, argv[0], readExecutable(host, stat.pid)));
      pid = stat.ppid;
    }
    return ancestors;
  }

  #readEnvironment(): ReadonlyMap<string, string> | undefined {
    const text = readProcFile(this.#reader.host, `${this.pid}/environ`);
    if (text === "gone") return undefined;
    const variables = new Map<string, string>();
    for (const entry of text.split("\0")) {
      const at = entry.indexOf("=");
      if (at > 0 && !variables.has(entry.slice(0, at)))
        variables.set(entry.slice(0, at), entry.slice(at + 1));
    }
    return variables;
  }
}

/** `undefined` for what the kernel does not let us see. */
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
