import { closeFd } from "./descriptor.ts";
import { createEventfd } from "./epoll.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;

/** Descriptors that those that are kept for long leave free: all others are open for a moment only. */
export const RESERVED_DESCRIPTORS = 64;

/** Reads the soft limit on open files of this process (getrlimit(2)). */
export function readSoftFileLimit(): number {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const limits = new BigUint64Array(2);
  const read = syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, 0, limits);
  return read < 0 ? Number.POSITIVE_INFINITY : Number(limits[0]);
}

/**
 * Returns why this many descriptors cannot be opened, EMFILE or ENFILE, or `undefined`: opens them to find out,
 * or one, if its number shows that the reserved ones are free.
 */
export function missingDescriptors(needed: number): string | undefined {
  const opened: number[] = [];
  try {
    while (opened.length < needed) {
      const fd = createEventfd();
      if (fd < 0) return errnoName(fd);
      opened.push(fd);
      if (opened.length === 1 && fd < readSoftFileLimit() - RESERVED_DESCRIPTORS) return undefined;
    }
    return undefined;
  } finally {
    for (const fd of opened) closeFd(fd);
  }
}
