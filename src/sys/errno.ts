const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  7: "E2BIG",
  9: "EBADF",
  10: "ECHILD",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  25: "ENOTTY",
  26: "ETXTBSY",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  34: "ERANGE",
  36: "ENAMETOOLONG",
  38: "ENOSYS",
  40: "ELOOP",
  66: "EREMOTE",
  90: "EMSGSIZE",
  92: "ENOPROTOOPT",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  105: "ENOBUFS",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  122: "EDQUOT",
};

const ERRNO_DESCRIPTIONS: Readonly<Record<string, string>> = {
  EACCES: "EACCES (permission denied)",
  EPERM: "EPERM (operation not permitted)",
  EROFS: "EROFS (mounted read-only)",
  EBUSY: "EBUSY (in use)",
  EINVAL: "EINVAL (the kernel does not accept this value here)",
  ENOENT: "ENOENT (no such file)",
  ENODEV: "ENODEV (no such device, or the cgroup is being removed)",
  ENOSPC: "ENOSPC (no space left)",
  ENOTSUP: "EOPNOTSUPP (not supported here)",
  ERANGE: "ERANGE (out of the accepted range)",
  ESRCH: "ESRCH (no such process)",
  ENOTDIR: "ENOTDIR (part of the path is not a directory)",
  EEXIST: "EEXIST (already exists)",
};

/** Returns the name of an errno, given as a positive number or as the negative result of a system call. */
export function errnoName(errno: number): string {
  const positive = Math.abs(errno);
  return ERRNO_NAMES[positive] ?? `errno ${positive}`;
}

/**
 * Returns the errno name ("EACCES") of an error that was thrown by a file system or node:os call; `undefined` for
 * any other value.
 */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  // node:os wraps the errno of the kernel in an error of its own.
  if (error.code !== "ERR_SYSTEM_ERROR" || !("info" in error)) return error.code;
  return (error.info as { code?: string }).code;
}

/**
 * Returns the errno of an error with its meaning, for a sentence such as "EACCES (permission denied) writing …".
 * An error without an errno is described by its message.
 */
export function describeErrno(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === undefined) return error instanceof Error ? error.message : String(error);
  return ERRNO_DESCRIPTIONS[errno] ?? errno;
}
