import type { Details } from "../../limits/counters.ts";
import type { CgroupLimitName } from "../../limits/table.ts";
import { digitsAt, parseDigits } from "../../sys/digits.ts";
import { describeErrno } from "../../sys/errno.ts";
import type { CgroupFs } from "../cgroupFs.ts";
import type { FileWritten } from "../change.ts";
import type { Hierarchy } from "./hierarchies.ts";

export interface CgroupDirectory {
  fs: CgroupFs;
  hierarchy: Hierarchy;
  path: string;
  /** Set when the cgroup existed before the job: the values of its owner that ffrtmp replaced. */
  replaced?: readonly FileWritten[];
  /** The limits that these are about; absent: all of its owner's. */
  replacedLimits?: readonly CgroupLimitName[];
}

/** The files of a cgroup. */
export type CgroupFiles = Pick<CgroupDirectory, "fs" | "path">;

/** The content of a file after a write, or why it could not be written or read back. */
export type WriteResult = { readBack: string } | { refusal: string };

/** Writes one cgroup file. Returns `undefined`, or the refusal with the data and the path. */
export function writeCgroupFile(directory: CgroupFiles, file: string, data: string): string | undefined {
  const path = `${directory.path}/${file}`;
  try {
    directory.fs.write(path, data);
    return undefined;
  } catch (error) {
    return `${describeErrno(error)} writing "${data}" to ${path}`;
  }
}

/** Reads files that were written just now, with a space between their texts. */
export function readBack(directory: CgroupFiles, ...files: string[]): WriteResult {
  const texts: string[] = [];
  for (const file of files) {
    const path = `${directory.path}/${file}`;
    try {
      texts.push(directory.fs.read(path).trim());
    } catch (error) {
      return { refusal: `${describeErrno(error)} reading ${path} back` };
    }
  }
  return { readBack: texts.join(" ") };
}

/** Reads the trimmed text of a cgroup file; `undefined` where there is no such file, or it cannot be read. */
export function readCgroupFile({ fs, path }: CgroupFiles, file: string): string | undefined {
  if (fs.readIn === undefined) return readText(fs, `${path}/${file}`);
  try {
    return fs.readIn(path, file).trim();
  } catch {
    return undefined;
  }
}

export function readText(fs: CgroupFs, path: string): string | undefined {
  try {
    return fs.read(path).trim();
  } catch {
    return undefined;
  }
}

/** Reads the words of a file; empty where there is no such file. */
export function readWords(fs: CgroupFs, path: string): string[] {
  const words: string[] = [];
  // Without a pattern and methods of arrays, whose first use is slow: these files separate words by spaces, and end with a newline.
  for (const line of (readText(fs, path) ?? "").split("\n")) {
    for (const word of line.split(" ")) if (word !== "") words.push(word);
  }
  return words;
}

/** Reads a whole number from a one-number file. `"max"` and anything else that is not a number become `undefined`. */
export function readNumber(directory: CgroupFiles, file: string): number | undefined {
  const text = readCgroupFile(directory, file);
  return text === undefined ? undefined : parseDigits(text);
}

// nr_throttled 12
// throttled_usec 5000000
/** Reads one counter by its name. Without a map, whose first use takes the end of a launch a block of the heap. */
export function readCounter(directory: CgroupFiles, file: string, name: string): number | undefined {
  return counterIn(readCgroupFile(directory, file) ?? "", name);
}

/** Returns one counter of the text of such a file; `undefined` where there is none. A sampler reads some of these each second. */
export function counterIn(text: string, name: string): number | undefined {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const isWord = text.charCodeAt(at + name.length) === 0x20;
    if (isWord && (at === 0 || text.charCodeAt(at - 1) === 0x0a)) return digitsAt(text, at + name.length + 1);
  }
  return undefined;
}

/**
 * What stands before the numbers of one device, with the separators around it: `254:0 Read 1024` on v1,
 * `254:0 rbytes=1024 wbytes=0` on v2.
 */
export interface DeviceWords {
  read: string;
  written: string;
}

/** Sums the bytes of all devices in a file. */
export function readIoBytes(directory: CgroupFiles, file: string, words: DeviceWords) {
  const text = readCgroupFile(directory, file);
  return { ioReadBytes: sumAfter(words.read, text), ioWriteBytes: sumAfter(words.written, text) };
}

/** Adds the sums of the operations of all devices in a file. */
export function addIoOperations(
  directory: CgroupFiles,
  file: string,
  words: DeviceWords,
  known: Details,
): void {
  const text = readCgroupFile(directory, file);
  known.ioReadOperations ??= sumAfter(words.read, text);
  known.ioWriteOperations ??= sumAfter(words.written, text);
}

/** Without regular expressions, whose first use is slow. */
function sumAfter(word: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  let sum = 0;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length))
    sum += digitsAt(text, at + word.length) ?? 0;
  return sum;
}
