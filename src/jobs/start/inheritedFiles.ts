import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type Host, readProcFile } from "../../linux/host.ts";
import { setSoftFileLimit } from "../../sys/rlimit.ts";

/** Spawn's own list of descriptors: index N is what the child sees as N. */
export type StdioList = [Standard, Standard, Standard, ...(number | null)[]];
type Standard = "inherit" | "ignore" | number;

/**
 * The descriptors above 2 that the caller gave us, for the workload to have as if we were not there
 * (`ffmpeg -i pipe:3`). To be called before anything of ours is opened; the runtime's own are told by their kind.
 */
export function listInheritedFiles(host: Host): number[] {
  const directory = `${host.procRoot}/self/fd`;
  return readdirSync(directory)
    .map(Number)
    .filter((fd) => {
      if (fd < 3) return false;
      const target = linkOf(`${directory}/${fd}`);
      return target !== undefined && !/^anon_inode:\[(eventpoll|eventfd|timerfd|io_uring)\]$/.test(target);
    });
}

/** Whether a descriptor of ours is a terminal. node:tty would answer too, at the price of 3 ms at start. */
export function isTerminal(host: Host, fd: number): boolean {
  return /^\/dev\/(pts\/|tty|console)/.test(linkOf(`${host.procRoot}/self/fd/${fd}`) ?? "");
}

/** Puts each inherited descriptor at its own number behind the three standard ones. */
export function withInheritedFiles(standard: StdioList, inherited: number[]): StdioList {
  const list: StdioList = [...standard];
  for (const fd of inherited) {
    while (list.length < fd) list.push(null);
    list[fd] = fd;
  }
  return list;
}

/**
 * The runtime raises its own soft limit on open files to the hard one, and a child would inherit that.
 * The limit that the caller had is no longer to be seen here, but our parent shares it, where its hard limit is ours.
 */
export function restoreFileLimit(host: Host): void {
  const parent = readFileLimits(host, process.ppid);
  const own = readFileLimits(host, "self");
  if (!parent || !own || parent.hard !== own.hard || parent.soft === own.soft || parent.soft === "unlimited")
    return;
  setSoftFileLimit(BigInt(parent.soft));
}

// Max open files            1024                 524288               files
function readFileLimits(host: Host, pid: number | "self"): { soft: string; hard: string } | undefined {
  const text = readProcFile(host, `${pid}/limits`);
  const match = /^Max open files\s+(\S+)\s+(\S+)/m.exec(text);
  return match ? { soft: match[1] as string, hard: match[2] as string } : undefined;
}

/**
 * The words of our own command line as bytes, where decoding would lose some: a file name need not be UTF-8.
 * Source: /proc/self/cmdline.
 */
export function readOwnArguments(host: Host): Uint8Array[] {
  const bytes = readFileSync(`${host.procRoot}/self/cmdline`);
  const words: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    words.push(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
  }
  return words;
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
