import { closeFd } from "./descriptor.ts";
import { createEventfd } from "./epoll.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;

/** Reads the soft limit on open files of this process (getrlimit(2)). */
export function readSoftFileLimit(): number {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const limits = new BigUint64Array(2);
  const read = syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, 0, limits);
  return read < 0 ? Number.POSITIVE_INFINITY : Number(limits[0]);
}

/**
 * Returns why this many descriptors cannot be opened, EMFILE or ENFILE, or `undefined`. The kernel returns the
 * lowest free number, so a low one shows that there is room above it.
 */
export function missingDescriptors(needed: number): string | undefined {
  const fd = createEventfd();
  if (fd < 0) return errnoName(fd);
  closeFd(fd);
  return fd + needed > readSoftFileLimit() ? "EMFILE" : undefined;
}
