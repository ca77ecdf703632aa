import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import { evaluateSla } from "../../jobs/exit/sla.ts";
import type { JobSpec } from "../../jobs/job.ts";
import { resultJson } from "../../jobs/json.ts";
import type { ResultJson } from "../../jobs/jsonSchemas.ts";
import type { Ending } from "../../jobs/model/ending.ts";
import type { StartingJob } from "../../jobs/model/job.ts";
import { UNKNOWN_USAGE } from "../../limits/usage.ts";
import { describeErrno } from "../../sys/errno.ts";
import { kindOf } from "../../sys/regularFile.ts";
import { warn } from "./messages.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;

/** The result contains a command line, and that may contain keys of streams. */
const FILE_MODE = 0o640;
/** As the kernel: path_resolution(7). */
const MAX_LINKS = 40;

/**
 * The file of `run --result-file`. It appears with its whole content at the end of the job: a reader that finds it can use
 * it. An earlier file of that name is removed before the start, so that no reader takes it for the result of this job.
 */
export class ResultFile {
  readonly path: string;
  /** The directory as it was found at the start: another user can replace a part of its path later. */
  readonly #directory: string;
  readonly #name: string;
  #isOurs = false;

  /**
   * Throws a Refusal where the file could not be written. Then nothing was changed. `whenStarted`: an earlier file, which can be
   * that of an earlier try, stays until `started`.
   */
  constructor(path: string, { whenStarted = false } = {}) {
    this.path = path;
    this.#name = basename(path);
    const refuse = (reason: string): Refusal =>
      new Refusal(`cannot write the result to ${path || JSON.stringify(path)}: ${reason}`);
    if (path === "" || path.endsWith("/")) throw refuse("it is not the name of a file");
    try {
      this.#directory = openDirectory(dirname(resolve(path)));
      const found = lstatSync(this.#pathOf(this.#name), { throwIfNoEntry: false });
      if (found !== undefined && !found.isFile()) throw refuse(`it is ${kindOf(found)}`);
      this.#create("");
      rmSync(this.#pathOf(DRAFT));
      if (!whenStarted) this.#removeEarlier();
    } catch (error) {
      throw error instanceof Refusal ? error : refuse(describeErrno(error));
    }
  }

  /** Removes an earlier file: the job of this process is recorded, and is about to start. */
  started(): void {
    if (this.#isOurs) return;
    try {
      this.#removeEarlier();
    } catch (error) {
      warn(`cannot remove the earlier ${this.path}: ${describeErrno(error)}`);
    }
  }

  #removeEarlier(): void {
    rmSync(this.#pathOf(this.#name), { force: true });
    this.#isOurs = true;
  }

  /** A failure is a warning: the exit code is that of the command. */
  write(result: ResultJson): void {
    try {
      this.#create(`${JSON.stringify(result, undefined, 2)}\n`);
      renameSync(this.#pathOf(DRAFT), this.#pathOf(this.#name));
    } catch (error) {
      rmSync(this.#pathOf(DRAFT), { force: true });
      warn(`cannot write the result to ${this.path}: ${describeErrno(error)}`);
    }
  }

  /**
   * Writes the result of a workload that could not be started. It has the same keys. Before `started`, the file that waits for it
   * belongs to another try, which may have started the workload.
   */
  writeFailure(spec: JobSpec, command: readonly string[], reason: string): void {
    if (!this.#isOurs) return;
    const key = Bun.randomUUIDv7();
    const ending: Ending = { kind: "never-started", reason };
    const { compliant: slaCompliant, reason: slaReason } = evaluateSla(ending, [], UNKNOWN_USAGE);
    const nowMs = Date.now();
    const times = { startMs: null, startBootMs: null, endMs: nowMs, endBootMs: null };
    const job: StartingJob = {
      ...spec,
      ...{ key, state: "starting", mode: "run", tenant: spec.tenant?.name ?? null },
      ...{ command, commandCut: false, cwd: null, uid: process.geteuid?.() ?? null, process: null },
      ...{ observer: { bootId: "", pid: process.pid, startTicks: 0 }, createdMs: nowMs, byHand: null },
      ...{ outcomes: [], cgroup: [], changes: [], carriedUsage: null, logPath: null, decidedBy: null },
    };
    const unseen = { lastSeenMs: null, endedBeforeMs: null };
    const result = {
      key,
      ending,
      ...times,
      ...unseen,
      slaCompliant,
      slaReason,
      outcomes: [],
      usage: UNKNOWN_USAGE,
      hinderedSeconds: null,
    };
    this.write(resultJson(job, result));
  }

  #pathOf(name: string): string {
    return `${this.#directory}/${name}`;
  }

  #create(content: string): void {
    const fd = openSync(this.#pathOf(DRAFT), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
    try {
      writeFileSync(fd, content);
      // Without it, a power failure can leave the name without the content.
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}

const DRAFT = `.ffrtmp-result-${Bun.randomUUIDv7()}`;

/** Returns a path of a directory that stays the same directory. Throws a Refusal, and errors of the file system. */
function openDirectory(path: string): string {
  const isRoot = process.geteuid?.() === 0;
  const directory = isRoot ? resolveForRoot(path) : path;
  const fd = openSync(directory, O_RDONLY | O_DIRECTORY | (isRoot ? O_NOFOLLOW : 0));
  const opened = `/proc/self/fd/${fd}`;
  // Another user has replaced a directory on the way in the meantime.
  if (isRoot && readlinkSync(opened) !== directory)
    throw new Refusal(`${path} is being changed by another user`);
  return opened;
}

/** Returns a directory's path without links. Throws a Refusal for a link of another user, who decides where it leads. */
function resolveForRoot(path: string): string {
  const rest = path.split("/").filter(Boolean);
  let current = "";
  let links = 0;
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    if (part === ".") continue;
    if (part === "..") {
      current = current.slice(0, current.lastIndexOf("/"));
      continue;
    }
    const stat = lstatSync(`${current}/${part}`);
    if (!stat.isSymbolicLink()) {
      current = `${current}/${part}`;
      continue;
    }
    if (stat.uid !== 0)
      throw new Refusal(
        `${current}/${part} is a link of uid ${stat.uid}, and root writes no result through it`,
        "name the directory itself",
      );
    if (++links > MAX_LINKS) throw Object.assign(new Error("too many links"), { code: "ELOOP" });
    const target = readlinkSync(`${current}/${part}`);
    if (target.startsWith("/")) current = "";
    rest.unshift(...target.split("/").filter(Boolean));
  }
  return current || "/";
}
