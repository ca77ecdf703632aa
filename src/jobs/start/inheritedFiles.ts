import { type Host, readProcFile } from "../../linux/host.ts";
import { readLink } from "../../linux/proc/table.ts";
import { type DescriptorLimits, readDescriptorLimits } from "../../sys/fileLimit.ts";
import { listNumbers, readWordsFile } from "../../sys/files.ts";
import { setSoftFileLimit } from "../../sys/ownProcess.ts";

/** The `stdio` list of Bun.spawn: the entry at index N becomes descriptor N of the child. */
export type StdioList = [Standard, Standard, Standard, ...(number | null)[]];
type Standard = "inherit" | "ignore" | number;

/** Descriptors above 2 that are open before ffrtmp opens any file. */
export interface OpenFiles {
  /** Descriptors that the caller opened. The workload inherits them (`ffmpeg -i pipe:3`). */
  readonly inherited: number[];
  /** Descriptors that a signal handler or a thread of the runtime makes readable to wake its event loop; eventfd(2). */
  readonly wakeups: number[];
}

/** Lists the open descriptors. Call this before ffrtmp opens any file. Those of the runtime are recognized by their type. */
export function listOpenFiles(host: Host): OpenFiles {
  const files: OpenFiles = { inherited: [], wakeups: [] };
  for (const fd of listNumbers(`${host.procRoot}/self/fd`)) {
    const target = fd < 3 ? undefined : readLink(host, `self/fd/${fd}`);
    if (target === undefined) continue;
    if (target === EVENTFD) files.wakeups.push(fd);
    else if (!isOwnFile(target)) files.inherited.push(fd);
  }
  return files;
}

/** Lists the descriptors above 2 that the caller opened. Call this before ffrtmp opens any file. */
export function listInheritedFiles(host: Host): number[] {
  return listOpenFiles(host).inherited;
}

const EVENTFD = "anon_inode:[eventfd]";

/** Returns whether the runtime has opened a file for itself: their types as procfs shows them. */
function isOwnFile(target: string): boolean {
  switch (target) {
    case "anon_inode:[eventpoll]":
    case EVENTFD:
    case "anon_inode:[timerfd]":
    case "anon_inode:[io_uring]":
      return true;
    default:
      return false;
  }
}

/** Returns true if a descriptor of this process is a terminal. Loading node:tty for this would take 3 ms. */
export function isTerminal(host: Host, fd: number): boolean {
  const target = readLink(host, `self/fd/${fd}`) ?? "";
  return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty") || target.startsWith("/dev/console");
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
  const parent = readDescriptorLimits(process.ppid) ?? readShownLimits(host, process.ppid);
  const own = readDescriptorLimits(OWN_PROCESS);
  if (parent === undefined || parent.hard !== own?.hard || parent.soft === own.soft) return;
  if (parent.soft !== Number.POSITIVE_INFINITY) setSoftFileLimit(parent.soft);
}

const OWN_PROCESS = 0;
const SHOWN_FILE_LIMIT = "Max open files";

/** Reads the limits of a process of another user, which procfs shows to every user. */
// Max open files            1024                 524288               files
function readShownLimits(host: Host, pid: number): DescriptorLimits | undefined {
  const text = readProcFile(host, `${pid}/limits`);
  const start = text.indexOf(`\n${SHOWN_FILE_LIMIT} `);
  if (start < 0) return undefined;
  const line = text.slice(start + 1, text.indexOf("\n", start + 1));
  const [soft, hard] = line.slice(SHOWN_FILE_LIMIT.length).split(" ").filter(Boolean);
  const limit = (shown: string | undefined): number =>
    shown === "unlimited" ? Number.POSITIVE_INFINITY : Number(shown);
  return { soft: limit(soft), hard: limit(hard) };
}

/** Returns the words of /proc/self/cmdline as bytes: a file name need not be UTF-8, and decoding would lose bytes. */
export function readOwnArguments(host: Host): Uint8Array[] {
  return readWordsFile(`${host.procRoot}/self/cmdline`);
}
