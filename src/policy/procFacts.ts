import {
  type Hierarchy,
  type Membership,
  readHierarchies,
  readMembership,
} from "../linux/cgroup/hierarchies.ts";
import { schedulerLabels } from "../linux/cgroup/schedulerLabels.ts";
import { isMadeByUs } from "../linux/cgroup/trust.ts";
import type { Host } from "../linux/host.ts";
import { findContainers, parseContainers } from "../linux/proc/container.ts";
import { GROUPS_FILE, IdNames, USERS_FILE } from "../linux/proc/idNames.ts";
import type { SchedulerLabels } from "../linux/proc/schedulers.ts";
import { directSlowFacts, type SlowFacts } from "../linux/proc/slowFacts/slowFacts.ts";
import { type ProcStat, readAgeMs, readStat } from "../linux/proc/stat.ts";
import { type Credentials, readCredentials } from "../linux/proc/status.ts";
import {
  type CommandLine,
  type Environment,
  readExecutable,
  readWorkingDirectory,
  visible,
} from "../linux/proc/table.ts";
import type { ProcessFacts, ProcessNames } from "./facts.ts";
import { namesOf } from "./namePattern.ts";

const RESOLVE_INTERVAL_MS = 1000;
/** PIDs can be reused while we walk up, and form a circle. */
const MAX_ANCESTORS = 256;

/** Facts of a job that /proc does not show. */
export interface FactsOfJob {
  isGoverned: boolean;
  /** The cgroups that the process would be in if it were no job. */
  membership: Membership;
}

/** Reads the facts that policies ask for; one for all processes of a host. */
export class FactReader {
  readonly host: Host;
  readonly users: IdNames;
  readonly groups: IdNames;
  /** The containers that ffrtmp itself is in. A process in them alone is a process of the host. */
  readonly #ownContainers: ReadonlySet<string>;
  readonly #hierarchies: readonly Hierarchy[];
  #resolved = new Map<string, string>();
  #resolvedSinceMs = 0;

  constructor(host: Host, { users = USERS_FILE, groups = GROUPS_FILE } = {}) {
    this.host = host;
    this.users = new IdNames(users);
    this.groups = new IdNames(groups);
    this.#hierarchies = readHierarchies(host);
    this.#ownContainers = new Set([...readCgroups(host, "self").values()].flatMap(parseContainers));
  }

  /**
   * Returns the facts of a process whose stat was just read. Every other fact is read when first used; the slow ones are
   * taken from `slow`, by default in the calling thread.
   */
  of(stat: ProcStat, job?: FactsOfJob, slow: SlowFacts = directSlowFacts(this.host)): ProcessFacts {
    const facts = {
      __proto__: UNREAD,
      reader: this,
      stat,
      job,
      slow,
      pid: stat.pid,
      ppid: stat.ppid,
      isGoverned: job?.isGoverned ?? false,
    };
    return facts as unknown as Subject;
  }

  /**
   * Returns the container of a process: of the cgroups with the name of one, the first that root made. The owner of a
   * delegated subtree can give any name to a cgroup. The name counts where the cgroup is not visible here.
   */
  container(membership: Membership): string | undefined {
    for (const [key, path] of membership) {
      for (const { name, cgroupPath } of findContainers(path)) {
        if (this.#ownContainers.has(name)) continue;
        const hierarchy = this.#hierarchies.find((candidate) => candidate.key === key);
        if (isMadeByUs(this.host.cgroupFs, hierarchy, cgroupPath) ?? true) return name;
      }
    }
    return undefined;
  }

  /** Returns the labels of a process from its scheduler, as its cgroups show them. */
  labels(membership: Membership): SchedulerLabels {
    return schedulerLabels(this.host, this.#hierarchies, membership);
  }

  /** Keeps results for a second: every process is compared with the same few paths. */
  resolve(path: string, slow: SlowFacts = directSlowFacts(this.host)): string {
    const nowMs = this.host.now();
    if (Math.abs(nowMs - this.#resolvedSinceMs) >= RESOLVE_INTERVAL_MS) {
      this.#resolved.clear();
      this.#resolvedSinceMs = nowMs;
    }
    const known = this.#resolved.get(path);
    if (known !== undefined) return known;
    const resolved = slow.resolve(path);
    if (resolved !== undefined) this.#resolved.set(path, resolved);
    return resolved ?? path;
  }
}

interface Subject extends ProcessFacts {
  reader: FactReader;
  stat: ProcStat;
  job: FactsOfJob | undefined;
  slow: SlowFacts;
  ids: Partial<Credentials>;
  commandLine: CommandLine;
  environ: Environment | undefined;
  membership: Membership;
}

type UnreadFact = Exclude<
  keyof Subject,
  "reader" | "stat" | "job" | "slow" | "pid" | "ppid" | "isGoverned" | "resolve"
>;

/** Each reads one fact. `undefined` is a fact that the kernel does not let us read. */
const READERS: { [F in UnreadFact]: (facts: Subject, reader: FactReader) => Subject[F] } = {
  commandLine: ({ stat, slow }) => slow.commandLine(stat),
  argv: ({ commandLine }) => commandLine.words,
  isArgvCut: ({ commandLine }) => commandLine.isCut,
  executable: ({ pid }, { host }) => readExecutable(host, pid),
  names: ({ stat, argv, executable }) => namesOf(stat.comm, argv[0], executable),
  ids: ({ pid }, { host }) => visible(() => readCredentials(host, pid)) ?? {},
  uid: ({ ids }) => ids.uid,
  gid: ({ ids }) => ids.gid,
  user: ({ uid }, { users, host }) => (uid === undefined ? undefined : users.nameOf(uid, host.now())),
  group: ({ gid }, { groups, host }) => (gid === undefined ? undefined : groups.nameOf(gid, host.now())),
  cwd: ({ pid }, { host }) => readWorkingDirectory(host, pid)?.replace(/ \(deleted\)$/, ""),
  ancestors: ({ ppid, slow }, { host }) => readAncestors(host, ppid, slow),
  membership: ({ pid, job }, { host }) => job?.membership ?? readCgroups(host, pid),
  cgroups: ({ membership }) => [...membership.values()],
  container: ({ membership }, reader) => reader.container(membership),
  labels: ({ membership }, reader) => reader.labels(membership),
  ageMs: ({ stat }, { host }) => readAgeMs(host, stat.startTicks),
  environ: ({ stat, slow }) => slow.environment(stat),
  environment: ({ environ }) => environ?.variables,
  isEnvironmentCut: ({ environ }) => environ?.isCut ?? false,
};

/** The prototype of facts that are not read yet. */
const UNREAD = {
  resolve(this: Subject, path: string): string {
    return this.reader.resolve(path, this.slow);
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

function readAncestors(host: Host, parent: number, slow: SlowFacts): ProcessNames[] {
  const ancestors: ProcessNames[] = [];
  for (let pid = parent; pid > 0 && ancestors.length < MAX_ANCESTORS; ) {
    const stat = visible(() => readStat(host, pid));
    if (stat === undefined) break;
    const [argv0] = slow.commandLine(stat).words;
    ancestors.push(namesOf(stat.comm, argv0, readExecutable(host, stat.pid)));
    pid = stat.ppid;
  }
  return ancestors;
}

function readCgroups(host: Host, pid: number | "self"): Membership {
  return visible(() => readMembership(host, pid)) ?? new Map();
}
