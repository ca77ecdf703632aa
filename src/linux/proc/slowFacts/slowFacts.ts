import { closeSync, realpathSync } from "node:fs";
import type { Host } from "../../host.ts";
import {
  type FileText,
  listOpenFiles,
  type OpenFile,
  openLocalFile,
  openLocalPath,
  readByPath,
  readOpenFile,
  readTail,
} from "../openFiles.ts";
import { readProgram, readStat } from "../stat.ts";
import {
  type CommandLine,
  type Environment,
  readCommandLine,
  readEnvironment,
  runsSameFile,
  visible,
} from "../table.ts";

/** A process as /proc/PID/stat names it. */
export interface ReadProcess {
  pid: number;
  startTicks: number;
}

/**
 * The facts whose reading can wait without end. `cmdline` and `environ` are read under the mmap lock of the process, which
 * it can lock for as long as it likes, and one in a page fault on a dead NFS server does. The file system of an executable
 * or of a path may not answer. Other files of /proc/PID, and the text of its links, need neither.
 */
export interface SlowFacts {
  /** No words when the process shows none. */
  commandLine(process: ReadProcess): CommandLine;
  environment(process: ReadProcess): Environment | undefined;
  /** Returns whether the process runs the same file as this process. */
  runsOurFile(process: ReadProcess): boolean;
  /** Returns a path with all symbolic links followed; the path itself where nothing exists there. */
  resolve(path: string): string | undefined;
}

/** A read of regular files that a process has open or named: see `openFiles.ts`. */
export type FileRead = ReadProcess &
  (
    | { kind: "open-files" }
    | { kind: "open-file"; fd: number; path: string }
    | { kind: "file-tail"; fd: number; identity: string; maxBytes: number }
    | { kind: "file-start"; path: string; maxBytes: number }
    | { kind: "file-descriptor"; fd: number; identity: string }
    | { kind: "path-descriptor"; path: string }
  );

/** One read; the answer to `arguments` includes `runsOurFile`. */
export type SlowRead =
  | ({ kind: "arguments" | "environment" } & ReadProcess)
  | { kind: "path"; path: string }
  | FileRead;

const NO_WORDS: CommandLine = { words: [], isCut: false };

interface Answers {
  /** `program`: see `readProgram`. Read before the rest: an equal text afterwards means that all is of this program. */
  arguments: { program: string | undefined; line: CommandLine; runsOurFile: boolean };
  environment: Environment;
  path: { resolved: string };
  "open-files": OpenFile[];
  "open-file": OpenFile;
  "file-tail": FileText;
  "file-start": FileText;
  /** Open in this process: the caller must close it. */
  "file-descriptor": { descriptor: number };
  "path-descriptor": { descriptor: number };
}
export type AnswerTo<Read extends SlowRead> = Answers[Read["kind"]];
export type Answer = Answers[SlowRead["kind"]];

/** Reads in the calling thread, which may wait. `undefined`: the process is gone, or the fact is hidden. */
export function performRead(host: Host, read: SlowRead): Answer | undefined {
  if (read.kind === "path") return { resolved: followLinks(read.path) };
  const { pid, startTicks } = read;
  const answer = visible(() => readOf(host, read) ?? "gone");
  // Read last: if the process still has the pid, it had it before.
  const stat = visible(() => readStat(host, pid));
  if (stat?.startTicks === startTicks) return answer;
  if (answer !== undefined && "descriptor" in answer) closeSync(answer.descriptor);
  return undefined;
}

function readOf(host: Host, read: Exclude<SlowRead, { kind: "path" }>): Answer | "gone" | undefined {
  const { pid } = read;
  if (read.kind === "environment") return readEnvironment(host, pid);
  if (read.kind === "open-files") return listOpenFiles(host, pid);
  if (read.kind === "open-file") return readOpenFile(host, pid, read.fd, read.path);
  if (read.kind === "file-tail") return readTail(host, pid, read, read.maxBytes);
  if (read.kind === "file-start") return readByPath(host, pid, read.path, read.maxBytes);
  if (read.kind === "file-descriptor" || read.kind === "path-descriptor") {
    const descriptor =
      read.kind === "path-descriptor" ? openLocalPath(host, pid, read.path) : openLocalFile(host, pid, read);
    return descriptor === undefined ? undefined : { descriptor };
  }
  return {
    program: visible(() => readProgram(host, pid)),
    line: visible(() => readCommandLine(host, pid)) ?? NO_WORDS,
    runsOurFile: runsSameFile(host, pid, "self"),
  };
}

/** Reads each fact when it is asked for, in the calling thread: not for a daemon, which must not wait. */
export function directSlowFacts(host: Host): SlowFacts {
  return {
    commandLine: ({ pid }) => visible(() => readCommandLine(host, pid)) ?? NO_WORDS,
    environment: ({ pid }) => visible(() => readEnvironment(host, pid)),
    runsOurFile: ({ pid }) => runsSameFile(host, pid, "self"),
    resolve: followLinks,
  };
}

/** Facts that were read before they are asked for, or that are missing. */
export class CollectedSlowFacts implements SlowFacts {
  readonly #answers = new Map<string, Answer | undefined>();
  /** The reads whose answers were asked for and not there, by key. */
  readonly missing = new Map<string, SlowRead>();
  /** A fact could not be read in time, and counts as one that cannot be read. */
  isLate = false;

  commandLine(process: ReadProcess): CommandLine {
    return this.#arguments(process)?.line ?? NO_WORDS;
  }

  /** Returns the program that the arguments are of; `undefined` where they could not be read. See `readProgram`. */
  program(process: ReadProcess): string | undefined {
    return this.#arguments(process)?.program;
  }

  environment({ pid, startTicks }: ReadProcess): Environment | undefined {
    return this.#answer<"environment">({ kind: "environment", pid, startTicks });
  }

  runsOurFile(process: ReadProcess): boolean {
    return this.#arguments(process)?.runsOurFile ?? false;
  }

  resolve(path: string): string | undefined {
    return this.#answer<"path">({ kind: "path", path })?.resolved;
  }

  add(read: SlowRead, answer: Answer | "late" | undefined): void {
    if (answer === "late") this.isLate = true;
    this.#answers.set(keyOf(read), answer === "late" ? undefined : answer);
    this.missing.delete(keyOf(read));
  }

  #arguments({ pid, startTicks }: ReadProcess): Answers["arguments"] | undefined {
    return this.#answer<"arguments">({ kind: "arguments", pid, startTicks });
  }

  #answer<Kind extends SlowRead["kind"]>(read: SlowRead & { kind: Kind }): Answers[Kind] | undefined {
    const key = keyOf(read);
    if (!this.#answers.has(key)) this.missing.set(key, read);
    return this.#answers.get(key) as Answers[Kind] | undefined;
  }
}

export function keyOf(read: SlowRead): string {
  if (read.kind === "path") return read.path;
  const { kind, pid, startTicks } = read;
  const file = "fd" in read ? ` ${read.fd}` : "path" in read ? ` ${read.path}` : "";
  return `${kind} ${pid} ${startTicks}${file}`;
}

function followLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
