import type { Host } from "../linux/host.ts";
import type { ProcessIdentity } from "../linux/proc/identity.ts";
import { parseStat } from "../linux/proc/stat.ts";
import { crc32 } from "../sys/crc32.ts";
import { fileExists, readLinkIfAny, readTextFile, statusOf } from "../sys/files.ts";

/**
 * Everything that the planning of a launch depends on, apart from the results of its calls of `CgroupFs`. Two launches in the same
 * circumstances make the same calls for as long as these return the same.
 */
export interface Circumstances {
  /** The words of the command line between `run` and `--`. */
  readonly words: readonly string[];
  /** The state directory, whose name is part of every cgroup name. */
  readonly directory: string;
  readonly uid: number;
  readonly gid: number;
  /** The nice value of this process. */
  readonly nice: number;
  /** The cgroups of this process: /proc/self/cgroup. */
  readonly cgroup: string;
  readonly bootId: string;
  /** The lines of /proc/self/mountinfo that decide which cgroup hierarchies can be reached. */
  readonly mounts: string;
  /** The namespaces: `pid:[4026531836]`. `null` where procfs does not show them. */
  readonly namespaces: readonly (string | null)[];
  /** systemd runs the machine: sd_booted(3). */
  readonly hasSystemd: boolean;
  /** Identifies the build of ffrtmp: device, inode, size and time of its file, in whole ms. */
  readonly executable: readonly number[];
}

/** Reads the circumstances of this process, and its identity. `undefined` where they cannot be read. */
export function readCircumstances(
  { procRoot }: Pick<Host, "procRoot">,
  words: readonly string[],
  directory: string,
): { circumstances: Circumstances; self: ProcessIdentity } | undefined {
  try {
    const stat = parseStat(readTextFile(`${procRoot}/self/stat`));
    const executable = statusOf(`${procRoot}/self/exe`);
    const uid = process.geteuid?.();
    const gid = process.getegid?.();
    // Another pid namespace than that of procfs has another process under this PID.
    if (stat?.pid !== process.pid || executable === undefined || uid === undefined || gid === undefined)
      return undefined;
    const { dev, ino, size, mtimeMs } = executable;
    const bootId = readTextFile(`${procRoot}/sys/kernel/random/boot_id`).trim();
    const circumstances: Circumstances = {
      words,
      directory,
      uid,
      gid,
      nice: stat.nice,
      cgroup: readTextFile(`${procRoot}/self/cgroup`),
      bootId,
      mounts: mountsOfCgroups(readTextFile(`${procRoot}/self/mountinfo`)),
      namespaces: [
        readLinkIfAny(`${procRoot}/self/ns/pid`) ?? null,
        readLinkIfAny(`${procRoot}/self/ns/cgroup`) ?? null,
      ],
      hasSystemd: fileExists("/run/systemd/system"),
      // No text: the first one of such a large number makes the runtime create a cache of 24 pages.
      executable: [dev, ino, size, Math.floor(mtimeMs)],
    };
    return { circumstances, self: { bootId, pid: process.pid, startTicks: stat.startTicks } };
  } catch {
    return undefined;
  }
}

/**
 * Returns the lines of mountinfo about cgroup hierarchies, and about mounts at or above their mount points, which can cover
 * them: proc_pid_mountinfo(5). The mounts of other file systems come and go with containers, and decide nothing. Each mount
 * namespace has numbers of its own for the same mounts, so they are replaced by the places in this text.
 */
export function mountsOfCgroups(mountinfo: string): string {
  const atOrAbove: string[] = [];
  // No array of all lines and no map, which take blocks of the heap.
  for (let start = 0; start < mountinfo.length; ) {
    const line = lineAt(mountinfo, start);
    if (line.includes(" - cgroup")) addWithParents(atOrAbove, fieldOf(line, MOUNT_POINT));
    start += line.length + 1;
  }
  const kept: string[] = [];
  const numbers: string[] = [];
  for (let start = 0; start < mountinfo.length; ) {
    const line = lineAt(mountinfo, start);
    start += line.length + 1;
    if (atOrAbove.indexOf(fieldOf(line, MOUNT_POINT)) < 0) continue;
    numbers.push(fieldOf(line, 0));
    kept.push(line);
  }
  let text = "";
  for (let place = 0; place < kept.length; place++) {
    const line = kept[place] as string;
    // 26 22 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw
    const above = numbers.indexOf(fieldOf(line, 1));
    const rest = `${fieldOf(line, 3)} ${fieldOf(line, MOUNT_POINT)} ${fieldOf(line, 5)}`;
    const source = line.slice(line.indexOf(" - ") + 1);
    text += `${place} ${above < 0 ? "outside" : above} 0:0 ${rest} ${source}\n`;
  }
  return text;
}

function lineAt(text: string, start: number): string {
  const end = text.indexOf("\n", start);
  return text.slice(start, end < 0 ? text.length : end);
}

const MOUNT_POINT = 4;

/** Returns a field of a line of mountinfo, which has no spaces in its fields; "" where there is none. */
function fieldOf(line: string, index: number): string {
  let start = 0;
  for (let field = 0; field < index; field++) {
    const space = line.indexOf(" ", start);
    if (space < 0) return "";
    start = space + 1;
  }
  const end = line.indexOf(" ", start);
  return line.slice(start, end < 0 ? line.length : end);
}

function addWithParents(paths: string[], path: string): void {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    const above = path.slice(0, end);
    // Those above it are there already.
    if (paths.indexOf(above) >= 0) return;
    paths.push(above);
  }
  if (paths.indexOf("/") < 0) paths.push("/");
}

/**
 * Returns the name of the file that records a launch in these circumstances: 8 hex digits, a hash of what differs between
 * callers that take turns; the rest only makes a record useless when it changes. So do two callers with the same hash.
 */
export function nameOfLaunch({ words, uid, gid, nice, cgroup, executable }: Circumstances): string {
  return crc32(JSON.stringify([words, uid, gid, nice, cgroup, executable]))
    .toString(16)
    .padStart(8, "0");
}
