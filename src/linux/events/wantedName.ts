import { addressOf, systemCall } from "../../sys/libc.ts";
import { NumberedPath } from "../../sys/numberedPath.ts";
import { isGoneErrno } from "../host.ts";
import { COMM_BYTES } from "../proc/comm.ts";
import type { NameTable } from "./nameTable.ts";

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
const PATH_MAX = 4096;
const SLASH = "/".charCodeAt(0);
/** The kernel adds that to the link of a file that has no name any more. */
const DELETED = new TextEncoder().encode(" (deleted)");

/**
 * Returns a function that tells whether a process executes a program under one of these names: its own, or that of the file, which
 * differ for a script and behind a link. False for a process that has ended too. Its first argument is not read, because that
 * can wait for the process. A process whose own name cannot be read, as without free descriptors, is taken for a wanted one. The name
 * of its file may be hidden, as that of another user's process without CAP_SYS_PTRACE, and does not count then.
 *
 * It is asked about each program that starts on the machine, mostly after a pause, and so with cold caches: it makes no objects, and
 * calls few functions.
 *
 * Source: /proc/PID/comm and exe, proc(5).
 */
export function wantedNameReader(names: NameTable): (pid: number) => boolean {
  const [openat, read, close, readlinkat] = [
    systemCall("openat"),
    systemCall("read"),
    systemCall("close"),
    systemCall("readlinkat"),
  ];
  const commPath = new NumberedPath("/proc/", "/comm");
  const exePath = new NumberedPath("/proc/", "/exe");
  const comm = new Uint8Array(COMM_BYTES);
  const exe = new Uint8Array(PATH_MAX);
  const commAddress = addressOf(comm);
  const exeAddress = addressOf(exe);

  function readComm(pid: number): number {
    const fd = openat(AT_FDCWD, commPath.with(pid), O_CLOEXEC);
    if (fd < 0) return fd;
    const length = read(fd, commAddress, COMM_BYTES);
    close(fd);
    return length;
  }

  return (pid) => {
    if (names.hasAll()) return true;
    if (names.hasNone()) return false;
    const length = readComm(pid);
    if (length < 0) return !isGoneErrno(length);
    // A line feed follows the name.
    if (names.has(comm, 0, length - 1)) return true;
    const end = withoutDeleted(exe, readlinkat(AT_FDCWD, exePath.with(pid), exeAddress, PATH_MAX));
    let start = end;
    while (start > 0 && exe[start - 1] !== SLASH) start--;
    return start < end && names.has(exe, start, end);
  };
}

function withoutDeleted(path: Uint8Array, length: number): number {
  const end = length - DELETED.length;
  for (let at = 0; at < DELETED.length; at++) if (path[end + at] !== DELETED[at]) return length;
  return end;
}
