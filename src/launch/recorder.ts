import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { RunningJob, StartingJob } from "../jobs/model/job.ts";
import { groupName } from "../jobs/model/jobId.ts";
import type { OwnScope } from "../jobs/placement/jobScope.ts";
import type { LaunchObserver } from "../jobs/start/startWorkload.ts";
import type { StateFiles } from "../ledger/location.ts";
import { rejectStrangers } from "../ledger/strangers.ts";
import type { Limits } from "../limits/limits.ts";
import type { Change } from "../linux/change.ts";
import type { Host } from "../linux/host.ts";
import { readMemoryTotalBytes } from "../linux/memory.ts";
import { makeDirectory } from "../sys/files.ts";
import { type Circumstances, nameOfLaunch, readCircumstances } from "./circumstances.ts";
import { arePlain, isOwn } from "./plainCalls.ts";
import { formatLaunch, type RecordedLaunch } from "./recordedLaunch.ts";
import { LaunchTrace } from "./trace.ts";

/** Recorded launches of one state directory. The one that was recorded first goes away for a new one. */
const MAX_LAUNCHES = 64;
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** The limits that are set through `CgroupFs` alone, from values that depend on no other file of the machine. */
const PLAIN_LIMITS: readonly (keyof Limits)[] = [
  "cpuMax",
  "cpuWeight",
  "cpuIdle",
  "memoryHighBytes",
  "memoryMaxBytes",
  "pidsMax",
  "cpus",
];
/** From here on a CPU quota is compared with the number of CPUs. */
const MANY_CORES = 100;

/** The options of `run` that a record can stand for. */
export interface LaunchOptions {
  words: readonly string[];
  /** The absolute working directory that the options name. */
  workdir: string | undefined;
}

/**
 * Records a launch of the full program, for a later `run` to repeat. Everything is kept in memory until the workload runs.
 */
export class LaunchRecorder implements LaunchObserver {
  /** The host with a traced `cgroupFs`; the launch uses this one. */
  readonly host: Host;
  readonly #options: LaunchOptions;
  readonly #state: StateFiles;
  readonly #trace: LaunchTrace;
  readonly #circumstances: Circumstances | undefined;
  #hasWarned = false;
  #registered: StartingJob | undefined;
  #enters: string | undefined;
  #scope: OwnScope | undefined;

  constructor(host: Host, state: StateFiles, options: LaunchOptions) {
    this.#trace = new LaunchTrace(host.cgroupFs);
    this.host = { ...host, cgroupFs: this.#trace.fs };
    this.#options = options;
    this.#state = state;
    // Before the planning: it may read another state of the machine later, and then the launch is not as recorded.
    this.#circumstances = readCircumstances(host, options.words, state.directory)?.circumstances;
  }

  /** Call for each warning: a launch that warned is planned again each time, so that it warns again. */
  warned(): void {
    this.#hasWarned = true;
  }

  registered(job: StartingJob): void {
    this.#registered = job;
  }

  entersScope(scope: OwnScope): void {
    this.#trace.entersScope();
    this.#scope = scope;
  }

  spawned(enters: string | undefined): void {
    this.#trace.spawned();
    this.#enters = enters;
  }

  /** Writes the record, unless the launch was not plain. Call it when the workload runs: it is not to wait for a disk. */
  save(job: RunningJob): void {
    const calls = this.#trace.stop();
    const registered = this.#registered;
    const [circumstances, group] = [this.#circumstances, groupName(this.#state.tag, job.jobId)];
    if (!calls || !registered || !circumstances || this.#hasWarned) return;
    if (!arePlain(calls, group) || !isPlainJob(registered, group)) return;
    const scope = this.#scope;
    const origin = scope?.origin;
    // This process could not return there.
    if (scope !== undefined && origin === undefined) return;
    const { intent, slaEligible, tenant, labels, limits, byHand, cgroup, changes, decidedBy } = registered;
    const { outcomes, cgroup: made, changes: journal } = job;
    const comparesMemory = limits.memoryHighBytes !== undefined || limits.memoryMaxBytes !== undefined;
    const totalBytes = comparesMemory ? readMemoryTotalBytes(this.host) : undefined;
    if (comparesMemory && totalBytes === undefined) return;
    const launch: RecordedLaunch = {
      recordedMs: this.host.now(),
      ...(this.#options.workdir === undefined ? {} : { workdir: this.#options.workdir }),
      ...(totalBytes === undefined ? {} : { memoryTotalBytes: totalBytes }),
      ...(this.#enters === undefined ? {} : { enters: this.#enters }),
      ...(scope === undefined || origin === undefined ? {} : { scope: { entry: scope.entry, origin } }),
      ...calls,
      job: { intent, slaEligible, tenant, labels, limits, byHand, cgroup, changes, decidedBy },
      running: {
        outcomes,
        ...(isSameJson(cgroup, made) ? {} : { cgroup: made }),
        ...(isSameJson(changes, journal) ? {} : { changes: journal }),
      },
    };
    const text = formatLaunch(circumstances, launch, group);
    if (text !== undefined) this.#write(nameOfLaunch(circumstances), text);
  }

  #write(name: string, text: string): void {
    const { launches } = this.#state;
    const path = `${launches}/${name}.json`;
    try {
      makeOwnDirectory(launches);
      // A file in its place is replaced, whatever it is.
      rejectStrangers(`${launches}/new`);
      const draft = `${launches}/${name}.new-${process.pid}`;
      writeFileSync(draft, text, { mode: FILE_MODE, flag: "wx" });
      renameSync(draft, path);
      this.#removeOldest();
    } catch {
      // Without a record the next launch is planned again, as this one was.
    }
  }

  #removeOldest(): void {
    const { launches } = this.#state;
    const names = readdirSync(launches);
    if (names.length <= MAX_LAUNCHES) return;
    const byAge = names
      .map((name) => ({
        name,
        atMs: statSync(`${launches}/${name}`, { throwIfNoEntry: false })?.mtimeMs ?? 0,
      }))
      .sort((a, b) => a.atMs - b.atMs);
    for (const { name } of byAge.slice(0, names.length - MAX_LAUNCHES))
      rmSync(`${launches}/${name}`, { force: true });
  }
}

function isSameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Gets the group of the state directory above, which has the set-group-ID bit where it has that of root. */
function makeOwnDirectory(path: string): void {
  try {
    makeDirectory(path, DIRECTORY_MODE);
  } catch {
    // It exists, or the files in it cannot be created either.
  }
}

function isPlainJob({ limits, changes, tenant, logPath, process }: StartingJob, group: string): boolean {
  const { cpuMax } = limits;
  const cores = typeof cpuMax?.quotaUsec === "number" ? cpuMax.quotaUsec / cpuMax.periodUsec : 0;
  return (
    tenant === null &&
    logPath === null &&
    process === null &&
    cores < MANY_CORES &&
    Object.keys(limits).every((field) => PLAIN_LIMITS.some((each) => each === field)) &&
    changes.every((change) => isPlainChange(change, group))
  );
}

function isPlainChange(change: Change, group: string): boolean {
  switch (change.kind) {
    case "cgroup-created":
    case "processes-moved":
    case "scope-started":
      return true;
    case "controller-enabled":
      return isOwn(`${change.path}/`, group);
    default:
      return false;
  }
}
