import { readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { OPEN_SUFFIX } from "../../ledger/inbox/inboxFile.ts";
import { INBOX, tagOf } from "../../ledger/location.ts";
import { listOwners } from "../../ledger/places.ts";
import { listProcesses } from "../../linux/cgroup/members.ts";
import { isForbidden, unlessGone } from "../../linux/host.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listPids, readLink, readOwner, visible } from "../../linux/proc/table.ts";
import type { Context } from "../context.ts";
import { isTenantGroup } from "../job.ts";
import { listJobCgroups } from "./orphanCgroups.ts";

/** A job that an ffrtmp with another state directory governs, as its cgroup shows. */
export interface ForeignJob {
  jobId: string;
  /** The checksum of the state directory. */
  tag: string;
  /** One of its cgroups. */
  path: string;
  pids: number[];
  /** `undefined`: the cgroup does not say, and no ffrtmp that runs has it open. */
  directory: string | undefined;
}

type Machine = Pick<Context, "host" | "hierarchies" | "state">;

// ffrtmp-1a2b3c-transcode-001
const GROUP_NAME = /^ffrtmp-([0-9a-f]{6})-(.+?)(?:\.scope)?$/;

/** Finds the jobs of all other state directories that have a process, sorted by directory and job id. */
export function findForeignJobs(context: Machine): ForeignJob[] {
  const { cgroupFs } = context.host;
  const jobs = new Map<string, ForeignJob>();
  const directories = new StateDirectories(context);
  for (const { path } of listJobCgroups(context)) {
    const { tag, jobId } = partsOf(basename(path)) ?? {};
    if (tag === undefined || jobId === undefined || tag === context.state.tag) continue;
    const pids = processesIn(context, path);
    if (pids.length === 0 || jobs.has(`${tag} ${jobId}`)) continue;
    const directory = directories.find(tag, cgroupFs.owner(path));
    jobs.set(`${tag} ${jobId}`, { jobId, tag, path, pids, directory });
  }
  const orderOf = ({ directory = "", jobId }: ForeignJob) => `${directory} ${jobId}`;
  return [...jobs.values()].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}

/** Returns the job and the state directory of a cgroup's name; `undefined` for a name of ours or of a tenant. */
export function findForeignJob(
  context: Machine,
  name: string,
): Pick<ForeignJob, "jobId" | "directory"> | undefined {
  const parts = partsOf(name);
  if (parts === undefined || parts.tag === context.state.tag) return undefined;
  const path = listJobCgroups(context).find((group) => basename(group.path) === name)?.path;
  const owner = path === undefined ? undefined : context.host.cgroupFs.owner(path);
  return { jobId: parts.jobId, directory: new StateDirectories(context).find(parts.tag, owner) };
}

function partsOf(name: string): { tag: string; jobId: string } | undefined {
  const [, tag, jobId] = GROUP_NAME.exec(name) ?? [];
  return tag === undefined || jobId === undefined || isTenantGroup(name) ? undefined : { tag, jobId };
}

function processesIn({ host }: Machine, path: string): number[] {
  try {
    return listProcesses(host.cgroupFs, path);
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}

/**
 * Finds a state directory by its tag. A tag is a checksum, so a directory is known only as one of those that can be guessed:
 * the usual ones of all users, and those whose ledger a running ffrtmp has open. The cgroup must belong to the same user: the
 * owner of a delegated subtree can give a cgroup any name.
 */
class StateDirectories {
  readonly #machine: Machine;
  #known: Map<string, { directory: string; uid: number }> | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  find(tag: string, cgroupOwner: number | undefined): string | undefined {
    this.#known ??= this.#list();
    const found = this.#known.get(tag);
    return found?.uid === cgroupOwner ? found?.directory : undefined;
  }

  #list(): Map<string, { directory: string; uid: number }> {
    const usual = listOwners().map(({ directory, uid }) => ({ directory, uid }));
    return new Map([...this.#openLedgers(), ...usual].map((each) => [tagOf(each.directory), each]));
  }

  /** By links alone: a process can delay the read of its own command line without end. */
  #openLedgers(): { directory: string; uid: number }[] {
    const { host } = this.#machine;
    return listPids(host).flatMap((pid) => {
      const stat = visible(() => readStat(host, pid));
      if (stat === undefined || !stat.comm.startsWith("ffrtmp")) return [];
      const uid = readOwner(host, pid);
      const directory = openFiles(host, pid)
        .map(stateDirectoryOf)
        .find((found) => found !== undefined);
      return directory === undefined || uid === undefined ? [] : [{ directory, uid }];
    });
  }
}

/** Returns the state directory that a file belongs to: its ledger, or the record of a plain launch. */
function stateDirectoryOf(file: string): string | undefined {
  const directory = dirname(file);
  if (basename(file) === "ledger.db") return directory;
  return basename(directory) === INBOX && file.endsWith(OPEN_SUFFIX) ? dirname(directory) : undefined;
}

function openFiles(host: Machine["host"], pid: number): string[] {
  const fds = visible(() => unlessGone(() => readdirSync(`${host.procRoot}/${pid}/fd`))) ?? [];
  return fds.flatMap((fd) => readLink(host, `${pid}/fd/${fd}`) ?? []);
}
