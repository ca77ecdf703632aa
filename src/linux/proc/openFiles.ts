import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  type Stats,
  statfsSync,
  statSync,
} from "node:fs";
import { errnoOf } from "../../sys/errno.ts";
import { O_PATH } from "../../sys/files.ts";
import { type Host, readProcFile } from "../host.ts";
import { listDescriptors } from "./descriptors.ts";

/**
 * Regular files that a process has open. Nothing else of a process is ever opened: a second reader of a pipe, FIFO, socket
 * or terminal would take data away from it. All functions here can wait for a file system that does not answer: call them
 * in a thread (`SlowReader`).
 */

/** A regular file that a process has open. */
export interface OpenFile {
  readonly fd: number;
  /** The text of its link: its path in the mount namespace of the process, at the time when it was opened or renamed. */
  readonly path: string;
  readonly isRead: boolean;
  readonly isWritten: boolean;
  /** The place where the process reads or writes next, in bytes. */
  readonly position: number;
  /** Names the file as long as it exists: device and inode number. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** Wall clock, ms. */
  readonly modifiedMs: number;
  readonly uid: number;
  readonly gid: number;
}

const { O_RDONLY, O_NONBLOCK, O_NOATIME, O_NOCTTY, O_NOFOLLOW } = constants;
const O_ACCMODE = 3;
/** The directories whose files are none. */
const NO_FILES = /^\/(dev|proc|sys)\//;

/** Lists the regular files that a process has open. `"gone"` when it does not exist. Throws EACCES, EPERM. */
export function listOpenFiles(host: Host, pid: number): OpenFile[] | "gone" {
  const descriptors = listDescriptors(host, pid);
  if (descriptors === "gone") return "gone";
  return descriptors
    .filter(({ target }) => mayBeFile(target))
    .flatMap(({ fd, target }) => readOpenFile(host, pid, fd, target) ?? []);
}

/** Returns whether the text of a descriptor's link can be that of a regular file. */
export function mayBeFile(target: string): boolean {
  return target.startsWith("/") && !NO_FILES.test(target);
}

/** Reads one open file of a process, which is opened for nothing. `undefined`: it is closed, or no regular file. */
export function readOpenFile(host: Host, pid: number, fd: number, path: string): OpenFile | undefined {
  const info = readProcFile(host, `${pid}/fdinfo/${fd}`);
  const stats = tryTo(() => statSync(`${host.procRoot}/${pid}/fd/${fd}`));
  if (info === "gone" || !stats?.isFile()) return undefined;
  // pos:	98304
  // flags:	0100000     ← octal: proc_pid_fdinfo(5)
  const position = /^pos:\t(\d+)$/m.exec(info)?.[1];
  const flags = /^flags:\t0*([0-7]+)$/m.exec(info)?.[1];
  if (position === undefined || flags === undefined) return undefined;
  const access = Number.parseInt(flags, 8) & O_ACCMODE;
  return {
    fd,
    path: path.replace(/ \(deleted\)$/, ""),
    isRead: access !== constants.O_WRONLY,
    isWritten: access !== O_RDONLY,
    position: Number(position),
    identity: identityOf(stats),
    sizeBytes: stats.size,
    modifiedMs: stats.mtimeMs,
    uid: stats.uid,
    gid: stats.gid,
  };
}

/** A part of a file, decoded as UTF-8, and when the file was last written. */
export interface FileText {
  readonly text: string;
  /** Wall clock, ms. */
  readonly modifiedMs: number;
}

/** Reads the last bytes of an open file of a process. `undefined`: the descriptor leads to another file by now. */
export function readTail(
  host: Host,
  pid: number,
  file: Pick<OpenFile, "fd" | "identity">,
  maxBytes: number,
): FileText | undefined {
  return withRegular(`${host.procRoot}/${pid}/fd/${file.fd}`, (fd, stats) =>
    identityOf(stats) === file.identity
      ? readPart(fd, stats, Math.max(0, stats.size - maxBytes), maxBytes)
      : undefined,
  );
}

/**
 * Reads the first bytes of a file by its path, as the process sees it. `undefined`: there is no such regular file; a
 * symbolic link is none.
 */
export function readByPath(host: Host, pid: number, path: string, maxBytes: number): FileText | undefined {
  return withRegular(seenBy(host, pid, path), (fd, stats) => readPart(fd, stats, 0, maxBytes), O_NOFOLLOW);
}

/**
 * Opens an open file of a process once more, to read it from its start, if it is on a local file system. Returns the
 * descriptor; `undefined` for a file that is somewhere else, or another one by now.
 */
export function openLocalFile(
  host: Host,
  pid: number,
  file: Pick<OpenFile, "fd" | "identity">,
): number | undefined {
  return openRegularFile(
    `${host.procRoot}/${pid}/fd/${file.fd}`,
    (fd, stats) => identityOf(stats) === file.identity && isLocal(fd),
  );
}

/** The same for a file by its path, as the process sees it. */
export function openLocalPath(host: Host, pid: number, path: string): number | undefined {
  return openRegularFile(seenBy(host, pid, path), (fd) => isLocal(fd), O_NOFOLLOW);
}

/** Returns a path that leads to where `path` leads the process. */
function seenBy({ procRoot }: Host, pid: number, path: string): string {
  return `${procRoot}/${pid}/${path.startsWith("/") ? "root" : "cwd/"}${path}`;
}

// include/uapi/linux/magic.h, fs/smb/common/smb2pdu.h and others
const REMOTE_FILE_SYSTEMS = new Set([
  0x6969, // nfs
  0xff534d42, // cifs
  0xfe534d42, // smb2
  0x517b, // smb
  0x65735546, // fuse: sshfs, s3fs, …
  0x00c36400, // ceph
  0x5346414f, // afs
  0x6b414653, // kafs
  0x01021997, // 9p
  0x0bd00bd0, // lustre
  0x47504653, // gpfs
]);

function isLocal(fd: number): boolean {
  return !REMOTE_FILE_SYSTEMS.has(statfsSync(`/proc/self/fd/${fd}`).type);
}

/**
 * Opens what a path leads to, if that is a regular file. First with O_PATH, which opens nothing (open(2)): what the path
 * leads to cannot change between the check and the open.
 */
function openRegularFile(
  path: string,
  accept: (pathFd: number, stats: Stats) => boolean,
  pathFlags = 0,
): number | undefined {
  const pathFd = tryTo(() => openSync(path, O_PATH | pathFlags));
  if (pathFd === undefined) return undefined;
  try {
    const stats = fstatSync(pathFd);
    if (!stats.isFile() || !accept(pathFd, stats)) return undefined;
    const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    const again = `/proc/self/fd/${pathFd}`;
    // The time of the last access stays, where this process may decide about it.
    return tryTo(() => openSync(again, flags | O_NOATIME)) ?? tryTo(() => openSync(again, flags));
  } finally {
    closeSync(pathFd);
  }
}

function withRegular<T>(path: string, read: (fd: number, stats: Stats) => T, pathFlags = 0): T | undefined {
  const fd = openRegularFile(path, () => true, pathFlags);
  if (fd === undefined) return undefined;
  try {
    return read(fd, fstatSync(fd));
  } finally {
    closeSync(fd);
  }
}

function readPart(fd: number, { mtimeMs }: Stats, from: number, maxBytes: number): FileText {
  const bytes = new Uint8Array(maxBytes);
  const length = readSync(fd, bytes, 0, maxBytes, from);
  return { text: new TextDecoder().decode(bytes.subarray(0, length)), modifiedMs: mtimeMs };
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** Returns `undefined` in place of an error of the file system. */
function tryTo<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
