/** Returns the name of an errno, given as a positive number or as the negative result of a system call. */
export function errnoName(errno: number): string {
  const positive = Math.abs(errno);
  const known = knownName(positive);
  if (known !== undefined) return known;
  const { errno: errnos } = (require("node:os") as typeof import("node:os")).constants;
  const name = Object.entries(errnos).find(([, each]) => each === positive)?.[0];
  return name ?? `errno ${positive}`;
}

/**
 * Returns the names that node:os lacks, those that it replaces by an alias, and those of frequent failures: include/uapi/
 * asm-generic/errno-base.h and errno.h. Loading node:os for a name takes 0.5 ms.
 */
function knownName(errno: number): string | undefined {
  // No table: an object with these keys would take two blocks of the heap, in each start.
  // biome-ignore format: one errno per line
  switch (errno) {
    case 1: return "EPERM";
    case 2: return "ENOENT";
    case 3: return "ESRCH";
    case 4: return "EINTR";
    case 5: return "EIO";
    case 9: return "EBADF";
    case 11: return "EAGAIN";
    case 12: return "ENOMEM";
    case 13: return "EACCES";
    case 16: return "EBUSY";
    case 17: return "EEXIST";
    case 19: return "ENODEV";
    case 20: return "ENOTDIR";
    case 21: return "EISDIR";
    case 22: return "EINVAL";
    case 28: return "ENOSPC";
    case 30: return "EROFS";
    case 36: return "ENAMETOOLONG";
    case 39: return "ENOTEMPTY";
    case 66: return "EREMOTE";
    case 95: return "EOPNOTSUPP";
    default: return undefined;
  }
}

/** Returns the errno name ("EACCES") of an error of a file system or node:os call; otherwise `undefined`. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  // node:os wraps the errno of the kernel in an error of its own.
  if (error.code !== "ERR_SYSTEM_ERROR" || !("info" in error)) return error.code;
  return (error.info as { code?: string }).code;
}

/** Returns "EACCES (permission denied)", or the message of an error without an errno. */
export function describeErrno(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === undefined) return error instanceof Error ? error.message : String(error);
  return describeCode(errno);
}

/** Returns "EACCES (permission denied)" for "EACCES". */
export function describeCode(code: string): string {
  const description = descriptionOf(code);
  return description === undefined ? code : `${code === "ENOTSUP" ? "EOPNOTSUPP" : code} (${description})`;
}

function descriptionOf(code: string): string | undefined {
  // biome-ignore format: one errno per line
  switch (code) {
    case "EACCES": return "permission denied";
    case "EPERM": return "operation not permitted";
    case "EROFS": return "mounted read-only";
    case "EBUSY": return "in use";
    case "EINVAL": return "the kernel does not accept this value here";
    case "ENOENT": return "no such file";
    case "ENODEV": return "no such device, or the cgroup is being removed";
    case "ENOSPC": return "no space left";
    case "ENOTSUP": return "not supported here";
    case "ERANGE": return "out of the accepted range";
    case "ESRCH": return "no such process";
    case "ENOTDIR": return "part of the path is not a directory";
    case "EEXIST": return "already exists";
    default: return undefined;
  }
}
