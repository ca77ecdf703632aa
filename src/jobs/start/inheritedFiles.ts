import { type Host, readProcFile } from "../../linux/host.ts";
import { readLink } from "../../linux/proc/table.ts";
import { listDirectory, readWordsFile } from "../../sys/files.ts";
import { setSoftFileLimit } from "../../sys/ownProcess.ts";

/** The `stdio` list of Bun.spawn: the entry at index N becomes descriptor N of the child. */
export type StdioList = [Standard, Standard, Standard, ...(number | null)[]];
type Standard = "inherit" | "ignore" | number;

/**
 * Lists the descriptors above 2 that the caller opened, which the workload inherits (`ffmpeg -i pipe:3`). Call this before
 * ffrtmp opens any file. The runtime's own descriptors are recognized by their type.
 */
export function listInheritedFiles(host: Host): number[] {
  const fds = listDirectory(`${host.procRoot}/self/fd`).map(({ name }) => Number(name));
  return fds.filter((fd) => {
    const target = fd < 3 ? undefined : readLink(host, `self/fd/${fd}`);
    return target !== undefined && !OWN_FILES.includes(target);
  });
}

/** The files that the runtime opens for itself, as procfs shows them. */
const OWN_FILES = ["eventpoll", "eventfd", "timerfd", "io_uring"].map((name) => `anon_inode:[${name}]`);

/** Returns true if a descriptor of this process is a terminal. Loading node:tty for this would take 3 ms. */
export function isTerminal(host: Host, fd: number): boolean {
  const target = readLink(host, `self/fd/${fd}`) ?? "";
  return ["/dev/pts/", "/dev/tty", "/dev/console"].some((start) => target.startsWith(start));
}

/** Adds each inherited descriptor at its own number, after the three standard ones. */
export function withInheritedFiles(standard: StdioList, inherited: number[]): StdioList {
  const list: StdioList = [...standard];
  for (const fd of inherited) {
    while (list.length < fd) list.push(null);
    list[fd] = fd;
  }
  return list;
}

/**
 * Restores the caller's soft limit on open files: the runtime raises its own to the hard limit, and a child
 * inherits it. The earlier value is read from the parent process, if that has the same hard limit.
 */
export function restoreFileLimit(host: Host): void {
  const [parentSoft, parentHard] = readFileLimits(host, process.ppid);
  const [soft, hard] = readFileLimits(host, "self");
  if (parentSoft === undefined || parentHard !== hard || parentSoft === soft || parentSoft === "unlimited")
    return;
  setSoftFileLimit(BigInt(parentSoft));
}

const FILE_LIMIT = "Max open files";

/** Returns the soft and the hard limit. */
// Max open files            1024                 524288               files
function readFileLimits(host: Host, pid: number | "self"): string[] {
  const text = readProcFile(host, `${pid}/limits`);
  const start = text.indexOf(`\n${FILE_LIMIT} `);
  if (start < 0) return [];
  const line = text.slice(start + 1, text.indexOf("\n", start + 1));
  return line.slice(FILE_LIMIT.length).split(" ").filter(Boolean).slice(0, 2);
}

/** Returns the words of /proc/self/cmdline as bytes: a file name need not be UTF-8, and decoding would lose bytes. */
export function readOwnArguments(host: Host): Uint8Array[] {
  return readWordsFile(`${host.procRoot}/self/cmdline`);
}
