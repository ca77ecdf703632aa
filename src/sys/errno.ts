/** The names that node:os lacks, and those that it replaces by an alias. */
const OTHER_NAMES: Readonly<Record<number, string>> = { 66: "EREMOTE", 95: "EOPNOTSUPP" };

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
  // Required here, not imported: loading it takes 0.5 ms, which a start without a failed call must not pay.
  const { errno: errnos } = (require("node:os") as typeof import("node:os")).constants;
  const name = Object.entries(errnos).find(([, each]) => each === positive)?.[0];
  return OTHER_NAMES[positive] ?? name ?? `errno ${positive}`;
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
  return ERRNO_DESCRIPTIONS[errno] ?? errno;
}
