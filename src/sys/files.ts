import { describeCode, errnoName } from "./errno.ts";
import { addressOf, syscall } from "./libc.ts";
import { hostArch, type SyscallName } from "./syscallNumbers.ts";

// Synchronous file calls by system calls. Loading node:fs takes 0.7 ms, and 1 MB of memory for as long as the process lives.

// include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h; O_DIRECTORY and O_NOFOLLOW differ on arm64
const IS_ARM = hostArch() === "aarch64";
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_APPEND = 0o2000;
export const O_DIRECTORY = IS_ARM ? 0o40000 : 0o200000;
export const O_NOFOLLOW = IS_ARM ? 0o100000 : 0o400000;
const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;

/** Modes of access(2). */
export const W_OK = 2;
export const X_OK = 1;

const ENOENT = 2;
const EINTR = 4;
const EINVAL = 22;
const ENOSPC = 28;
const ENAMETOOLONG = 36;

/** The kernel takes no longer path, with the NUL at its end. */
const PATH_MAX = 4096;
const FIRST_READ_BYTES = 16 * 1024;

// One buffer for paths and results: every call here is over before the next one begins. The second path of a call is in
// the second half.
const paths = new Uint8Array(2 * PATH_MAX);
const halves = [paths.subarray(0, PATH_MAX - 1), paths.subarray(PATH_MAX, 2 * PATH_MAX - 1)] as const;
let result = new Uint8Array(FIRST_READ_BYTES);
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/** Returns the code of the error that node:fs throws for an errno. */
export function codeOfErrno(errno: number): string {
  const name = errnoName(errno);
  return name === "EOPNOTSUPP" ? "ENOTSUP" : name;
}

/** An error of a file call, with the properties that those of node:fs have. */
class FileError extends Error {
  declare readonly code: string;
  declare readonly errno: number;
  declare readonly syscall: string;
  declare readonly path: string;

  constructor(errno: number, call: string, path: string) {
    const code = codeOfErrno(errno);
    super(`${describeCode(code)}: ${call} ${path}`);
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = call;
    this.path = path;
  }
}

/** Makes a call again for as long as a signal interrupts it. Returns its result or −errno. */
function retry(name: SyscallName, a: number, b: number | Uint8Array, c: number, d = 0): number {
  for (;;) {
    const returned = syscall(name, a, b, c, d);
    if (returned !== -EINTR) return returned;
  }
}

/** Returns the address of a path for the next call. Throws for a path that the kernel would cut or not take. */
function pathAt(path: string, call: string, half: 0 | 1 = 0): number {
  if (path.includes("\0")) throw new FileError(EINVAL, call, path);
  const start = half * PATH_MAX;
  const { read, written } = ENCODER.encodeInto(path, halves[half]);
  if (read < path.length) throw new FileError(ENAMETOOLONG, call, path);
  paths[start + written] = 0;
  return addressOf(paths) + start;
}

/** Throws the error of a call that failed; returns its result otherwise. */
function checked(returned: number, call: string, path: string): number {
  if (returned < 0) throw new FileError(returned, call, path);
  return returned;
}

/** Opens a file, close-on-exec. Returns the descriptor. Throws errors of open(2) with `code` and `path`, as all of these do. */
export function openFile(path: string, flags: number, mode = 0): number {
  return checked(openOrErrno(path, flags, mode), "open", path);
}

/** Does the same, and returns −errno where it fails. */
export function openOrErrno(path: string, flags: number, mode = 0): number {
  return retry("openat", AT_FDCWD, pathAt(path, "open"), flags | O_CLOEXEC, mode);
}

/** Closes a descriptor of this module. */
export function closeFile(fd: number): void {
  syscall("close", fd);
}

/** Reads a whole file as UTF-8, also one whose size is shown as 0. */
export function readTextFile(path: string): string {
  const fd = openFile(path, O_RDONLY);
  try {
    return DECODER.decode(readToEnd(fd, path));
  } finally {
    closeFile(fd);
  }
}

/** Does the same, and returns −errno where it fails. */
export function readTextOrErrno(path: string): string | number {
  const fd = openOrErrno(path, O_RDONLY);
  if (fd < 0) return fd;
  const bytes = tryToReadToEnd(fd);
  closeFile(fd);
  return typeof bytes === "number" ? bytes : DECODER.decode(bytes);
}

/** Reads a whole file as words, each of which ends with NUL, as /proc/PID/cmdline and environ have them. */
export function readWordsFile(path: string): Uint8Array[] {
  const fd = openFile(path, O_RDONLY);
  try {
    const bytes = readToEnd(fd, path).slice();
    const words: Uint8Array[] = [];
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(0, start);
      words.push(bytes.subarray(start, end < 0 ? bytes.length : end));
      start = end < 0 ? bytes.length : end + 1;
    }
    return words;
  } finally {
    closeFile(fd);
  }
}

/** Returns a view of the rest of a file, valid until the next call. */
function readToEnd(fd: number, path: string): Uint8Array {
  const bytes = tryToReadToEnd(fd);
  if (typeof bytes === "number") throw new FileError(bytes, "read", path);
  return bytes;
}

function tryToReadToEnd(fd: number): Uint8Array | number {
  for (let length = 0; ; ) {
    if (length === result.length) {
      const longer = new Uint8Array(2 * result.length);
      longer.set(result);
      result = longer;
    }
    const read = retry("read", fd, addressOf(result) + length, result.length - length);
    if (read < 0) return read;
    if (read === 0) {
      const bytes = result.subarray(0, length);
      // Not kept for the rest of the process after one long file.
      if (result.length > FIRST_READ_BYTES) result = new Uint8Array(FIRST_READ_BYTES);
      return bytes;
    }
    length += read;
  }
}

/** Reads bytes of an open file with one read(2), until `bytes` is full at most. Returns how many; 0 at the end. */
export function readInto(fd: number, bytes: Uint8Array, path: string): number {
  return checked(retry("read", fd, bytes, bytes.length), "read", path);
}

/** Reads at most `maxBytes` from the start of a file with one read(2). */
export function readStart(path: string, maxBytes: number): Uint8Array {
  const bytes = new Uint8Array(maxBytes);
  const fd = openFile(path, O_RDONLY);
  try {
    return bytes.subarray(0, readInto(fd, bytes, path));
  } finally {
    closeFile(fd);
  }
}

/** Writes a whole text with one write(2) to a descriptor. Throws also if the file took only a part of it. */
export function writeAtOnce(fd: number, text: string, path: string): void {
  const bytes = ENCODER.encode(text);
  const written = checked(retry("write", fd, bytes, bytes.length), "write", path);
  if (written < bytes.length) throw new FileError(ENOSPC, "write", path);
}

/** Writes a whole text with one write(2) to a file that exists. */
export function writeTextFile(path: string, text: string): void {
  const fd = openFile(path, O_WRONLY);
  try {
    writeAtOnce(fd, text, path);
  } finally {
    closeFile(fd);
  }
}

export function makeDirectory(path: string, mode: number): void {
  checked(syscall("mkdirat", AT_FDCWD, pathAt(path, "mkdir"), mode), "mkdir", path);
}

export function removeDirectory(path: string): void {
  checked(syscall("unlinkat", AT_FDCWD, pathAt(path, "rmdir"), AT_REMOVEDIR), "rmdir", path);
}

export function removeFile(path: string): void {
  checked(syscall("unlinkat", AT_FDCWD, pathAt(path, "unlink"), 0), "unlink", path);
}

/** Renames a file, and replaces one that has the new name. */
export function renameFile(from: string, to: string): void {
  const [old, next] = [pathAt(from, "rename"), pathAt(to, "rename", 1)];
  checked(syscall("renameat", AT_FDCWD, old, AT_FDCWD, next), "rename", from);
}

/** Returns whether access(2) permits this, for the real user. False also where there is no such file. */
export function isAccessible(path: string, mode: number): boolean {
  return syscall("faccessat", AT_FDCWD, pathAt(path, "access"), mode) === 0;
}

/** Returns whether there is a file of any type; a link counts when it leads to one. */
export function fileExists(path: string): boolean {
  return isAccessible(path, 0);
}

export function readLinkText(path: string): string {
  const address = pathAt(path, "readlink");
  const length = syscall("readlinkat", AT_FDCWD, address, result, result.length);
  return DECODER.decode(result.subarray(0, checked(length, "readlink", path)));
}

/** Does the same; `undefined` where there is no link, or it may not be read. Making an error for that takes 0.05 ms. */
export function readLinkIfAny(path: string): string | undefined {
  const length = syscall("readlinkat", AT_FDCWD, pathAt(path, "readlink"), result, result.length);
  return length < 0 ? undefined : DECODER.decode(result.subarray(0, length));
}

/** Returns the path without symbolic links, as the kernel knows it: proc_pid_fd(5). */
export function realPathOf(path: string): string {
  const fd = openFile(path, O_PATH);
  try {
    return readLinkText(`/proc/self/fd/${fd}`);
  } finally {
    closeFile(fd);
  }
}

/** The file system does not store the types of files in its directories: getdents(2). */
const DT_UNKNOWN = 0;

/** The type of a file: inode(7). */
export type FileType = "file" | "directory" | "link" | "fifo" | "socket" | "device";

export interface FileStatus {
  readonly type: FileType;
  /** The lower 12 bits of st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The number of hard links. Of a directory, many file systems count two and one for each directory in it. */
  readonly links: number;
  readonly size: number;
  /** Together they identify the file. */
  readonly dev: number;
  readonly ino: number;
  readonly mtimeMs: number;
}

/** Reads the status of a file, through a link. `undefined` where there is no file. Throws the other errors of stat(2). */
export function statusOf(path: string): FileStatus | undefined {
  return statusAt(AT_FDCWD, path, 0, "stat");
}

/** Reads the status of a file, or of the link at this path. */
export function statusOfLink(path: string): FileStatus | undefined {
  return statusAt(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, "lstat");
}

/** Reads the status of an open file. `path` is for the error. */
export function statusOfOpen(fd: number, path: string): FileStatus {
  const status = statusAt(fd, "", AT_EMPTY_PATH, "fstat");
  if (status === undefined) throw new FileError(ENOENT, "fstat", path);
  return status;
}

/** struct stat, 144 bytes on x86_64, in words of 32 bits. */
const stat = new Uint32Array(36);

function statusAt(directory: number, path: string, flags: number, call: string): FileStatus | undefined {
  const returned = syscall("newfstatat", directory, pathAt(path, call), stat, flags);
  if (returned === -ENOENT) return undefined;
  checked(returned, call, path);
  // struct stat, 64 bits: u64 dev; u64 ino; arm64: u32 mode, nlink, uid, gid; x86_64: u64 nlink; u32 mode, uid, gid;
  // both: … i64 size at 48, i64 mtime and its ns at 88
  const mode = stat[IS_ARM ? 4 : 6] as number;
  return {
    type: fileTypeOf(mode >> 12),
    mode: mode & 0o7777,
    uid: stat[IS_ARM ? 6 : 7] as number,
    gid: stat[IS_ARM ? 7 : 8] as number,
    links: stat[IS_ARM ? 5 : 4] as number,
    size: statU64(48),
    dev: statU64(0),
    ino: statU64(8),
    mtimeMs: statU64(88) * 1000 + statU64(96) / 1e6,
  };
}

function statU64(offset: number): number {
  return (stat[offset / 4] as number) + (stat[offset / 4 + 1] as number) * 2 ** 32;
}

/**
 * Returns the type for S_IFMT of a mode, shifted, which is also d_type of getdents(2). Character and block devices are not told
 * apart. No table: an object with these keys would take a block of the heap, in each start.
 */
function fileTypeOf(format: number): FileType {
  // biome-ignore format: one type per line
  switch (format) {
    case 1: return "fifo";
    case 4: return "directory";
    case 8: return "file";
    case 10: return "link";
    case 12: return "socket";
    default: return "device";
  }
}

export interface DirectoryEntry {
  readonly name: string;
  readonly type: FileType;
}

/** Lists a directory, without `.` and `..`, in the order of the file system. */
export function listDirectory(path: string): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  visitDirectory(path, (nameStart, typeNumber) => {
    const name = DECODER.decode(result.subarray(nameStart, result.indexOf(0, nameStart)));
    if (name === "." || name === "..") return;
    const isKnown = typeNumber !== DT_UNKNOWN;
    const type = isKnown ? fileTypeOf(typeNumber) : statusOfLink(`${path}/${name}`)?.type;
    entries.push({ name, type: type ?? "device" });
  });
  return entries;
}

/** Lists the names in a directory that are whole numbers, as those of processes, threads and descriptors in procfs. */
export function listNumbers(path: string): number[] {
  const numbers: number[] = [];
  visitDirectory(path, (nameStart) => {
    let number = 0;
    for (let index = nameStart; result[index] !== 0; index++) {
      const digit = (result[index] as number) - 0x30;
      if (digit < 0 || digit > 9) return;
      number = 10 * number + digit;
    }
    numbers.push(number);
  });
  return numbers;
}

/** Calls a function with the place of each name in `result`, which ends with NUL, and with its d_type. */
function visitDirectory(path: string, visit: (nameStart: number, type: number) => void): void {
  const fd = openFile(path, O_RDONLY | O_DIRECTORY);
  try {
    for (let length = 1; length > 0; ) {
      length = checked(syscall("getdents64", fd, result, result.length), "scandir", path);
      // struct linux_dirent64 { u64 d_ino; s64 d_off; u16 d_reclen; u8 d_type; char d_name[]; }
      for (let start = 0; start < length; ) {
        visit(start + 19, result[start + 18] as number);
        start += (result[start + 16] as number) | ((result[start + 17] as number) << 8);
      }
    }
  } finally {
    closeFile(fd);
  }
}
