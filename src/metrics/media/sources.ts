import { basename, dirname, resolve } from "node:path";
import type { Host } from "../../linux/host.ts";
import { listDescriptors } from "../../linux/proc/descriptors.ts";
import { type FileText, mayBeFile, type OpenFile } from "../../linux/proc/openFiles.ts";
import type { FileRead, ReadProcess, SlowRead } from "../../linux/proc/slowFacts/slowFacts.ts";
import type { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { readCredentials } from "../../linux/proc/status.ts";
import { readWorkingDirectory, visible } from "../../linux/proc/table.ts";
import { type FfmpegArguments, type MediaRange, parseFfmpegArguments } from "./ffmpegArguments.ts";
import { usesPartOfInput } from "./handBrake.ts";
import type { User } from "./probe.ts";
import { parseConcatList, parseLog, parsePlaylist, parseProgress } from "./reports.ts";

/** The sources of the media time of a job, the best first: see docs/observing.md. */
export const SOURCES = ["progress", "log", "playlist", "input", "none"] as const;
export type MediaSource = (typeof SOURCES)[number];

/** Enough for the last report: ffmpeg prints a line of 120 bytes, or a block of 300 bytes and more with many streams. */
const TAIL_BYTES = 8 * 1024;
const PLAYLIST_BYTES = 256 * 1024;
const LIST_BYTES = 64 * 1024;
/** Each part is probed, which takes a part of a second. */
const MAX_PARTS = 64;
/** A program other than ffmpeg may have a script, a table or its settings open. */
const MIN_MEDIA_BYTES = 64 * 1024;

/** A source that has been found to work. */
export interface Source {
  readonly kind: Exclude<MediaSource, "none">;
  readonly process: ReadProcess;
  /** The way to read it. */
  readonly read: FileRead;
  readonly ffmpeg: FfmpegArguments | undefined;
  /** The regular file that the process reads. */
  readonly input: OpenFile | undefined;
  /** The part of the input that is used. */
  readonly range: MediaRange;
  /** Only a part of the input is used, and it is not known which. */
  readonly usesUnknownPart: boolean;
  /** The files of `-f concat`, in their order; `input` is one of them. */
  readonly parts: readonly string[] | undefined;
  /** The user of the process. */
  readonly user: User | undefined;
}

/** Finds the best source of a process. `undefined`: it has none. `"late"`: it could not be read in time. */
export async function findSource(
  host: Host,
  slow: SlowReader,
  pid: number,
): Promise<Source | "late" | undefined> {
  const stat = visible(() => readStat(host, pid));
  if (stat === undefined) return undefined;
  // Most processes have no file open, and need no thread.
  const descriptors = visible(() => listDescriptors(host, pid)) ?? [];
  if (!descriptors.some(({ target }) => mayBeFile(target))) return undefined;
  const process: ReadProcess = { pid, startTicks: stat.startTicks };
  const answers = await Promise.all([
    slow.read({ kind: "arguments", ...process }),
    slow.read({ kind: "open-files", ...process }),
  ]);
  const [program, files] = answers;
  if (program === "late" || files === "late") return "late";
  if (program === undefined || files === undefined) return undefined;
  const { words } = program.line;
  const ffmpeg = parseFfmpegArguments(words);
  const directory = readWorkingDirectory(host, pid) ?? "/";
  const parts = await partsOf(slow, process, ffmpeg, directory);
  const input = parts
    ? files.find(({ path }) => parts.includes(path))
    : inputOf(files, words, ffmpeg, directory);
  const range =
    ffmpeg?.inputs.find(({ url }) => input && basename(url) === basename(input.path)) ??
    ffmpeg?.inputs[0] ??
    {};
  const usesUnknownPart = usesPartOfInput(words);
  const facts = { process, ffmpeg, input, range, usesUnknownPart, parts, user: userOf(host, pid) };
  const tailOf = (file: OpenFile): FileRead => ({
    kind: "file-tail",
    ...process,
    fd: file.fd,
    identity: file.identity,
    maxBytes: TAIL_BYTES,
  });
  const works = async (read: FileRead, parse: (text: string) => unknown): Promise<boolean> => {
    const text = (await slow.read(read as SlowRead)) as FileText | "late" | undefined;
    return typeof text === "object" && parse(text.text) !== undefined;
  };

  const progress = progressFileOf(files, ffmpeg, directory);
  if (progress && (await works(tailOf(progress), parseProgress)))
    return { kind: "progress", read: tailOf(progress), ...facts };
  for (const log of logsOf(files))
    if (await works(tailOf(log), parseLog)) return { kind: "log", read: tailOf(log), ...facts };
  if (ffmpeg?.playlist !== undefined) {
    const path = ffmpeg.playlist;
    const read: FileRead = { kind: "file-start", ...process, path, maxBytes: PLAYLIST_BYTES };
    if (await works(read, parsePlaylist)) return { kind: "playlist", read, ...facts };
  }
  if (input === undefined) return undefined;
  const { fd, path } = input;
  return { kind: "input", read: { kind: "open-file", ...process, fd, path }, ...facts };
}

/** Returns the file of `-progress`, if it is a regular one. */
function progressFileOf(
  files: readonly OpenFile[],
  ffmpeg: FfmpegArguments | undefined,
  directory: string,
): OpenFile | undefined {
  const url = ffmpeg?.progress;
  if (url === undefined) return undefined;
  const pipe = url === "-" ? "1" : /^pipe:(\d*)$/.exec(url)?.[1];
  const path = resolve(directory, url.replace(/^file:/, ""));
  return files.find((file) =>
    file.isWritten && pipe === undefined ? file.path === path : file.fd === Number(pipe || 1),
  );
}

/** Returns the files that a program may write its status into: stderr, stdout, and the report of ffmpeg. */
function logsOf(files: readonly OpenFile[]): OpenFile[] {
  const written = files.filter(({ isWritten }) => isWritten);
  const standard = [2, 1].flatMap((fd) => written.find((file) => file.fd === fd) ?? []);
  // FFREPORT may give it any name, but the environment of a workload is not read.
  return [...standard, ...written.filter(({ fd, path }) => fd > 2 && path.endsWith(".log"))];
}

/** Returns the largest file that a process reads and that its command line names. */
function inputOf(
  files: readonly OpenFile[],
  words: readonly string[],
  ffmpeg: FfmpegArguments | undefined,
  directory: string,
): OpenFile | undefined {
  const inputs = ffmpeg?.inputs.map(({ url }) => resolve(directory, url.replace(/^file:/, "")));
  const isInput = ({ path, isRead, isWritten, sizeBytes }: OpenFile): boolean => {
    if (!isRead || isWritten || sizeBytes === 0) return false;
    if (inputs) return inputs.includes(path) || inputs.some((input) => basename(input) === basename(path));
    return sizeBytes >= MIN_MEDIA_BYTES && words.slice(1).some((word) => word.includes(basename(path)));
  };
  return files.filter(isInput).sort((a, b) => b.sizeBytes - a.sizeBytes)[0];
}

/** Returns the files of the list that is the only input; `undefined`: there is none, or it is too long. */
async function partsOf(
  slow: SlowReader,
  process: ReadProcess,
  ffmpeg: FfmpegArguments | undefined,
  directory: string,
): Promise<string[] | undefined> {
  const [list, ...others] = ffmpeg?.inputs ?? [];
  if (list?.format !== "concat" || others.length > 0) return undefined;
  const path = resolve(directory, list.url.replace(/^file:/, ""));
  const text = await slow.read({ kind: "file-start", ...process, path, maxBytes: LIST_BYTES });
  if (typeof text !== "object") return [];
  const parts = parseConcatList(text.text).map((part) => resolve(dirname(path), part.replace(/^file:/, "")));
  return parts.length > MAX_PARTS ? [] : parts;
}

function userOf(host: Host, pid: number): User | undefined {
  const { uid, gid } = visible(() => readCredentials(host, pid)) ?? {};
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}
