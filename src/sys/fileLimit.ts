import { closeFd } from "./descriptor.ts";
import { createEventfd } from "./epoll.ts";
import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;

/** Descriptors that those that are kept for long leave free: all others are open for a moment only. */
export const RESERVED_DESCRIPTORS = 64;

/** The limits on open descriptors of a process. Infinity: there is none. */
export interface DescriptorLimits {
  readonly soft: number;
  readonly hard: number;
}

/**
 * Reads the limits on open descriptors of a process, 0 for this one (prlimit(2), RLIMIT_NOFILE). `undefined` where there is no
 * such process, or it belongs to another user.
 */
export function readDescriptorLimits(pid: number): DescriptorLimits | undefined {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const words = new Uint32Array(4);
  if (syscall("prlimit64", pid, RLIMIT_NOFILE, 0, words) < 0) return undefined;
  const limit = (index: number): number => {
    const [low, high] = [words[index] as number, words[index + 1] as number];
    // RLIM64_INFINITY
    return high === 0xffffffff ? Number.POSITIVE_INFINITY : high * 2 ** 32 + low;
  };
  return { soft: limit(0), hard: limit(2) };
}

/** Reads the soft limit on open files of this process. */
export function readSoftFileLimit(): number {
  return readDescriptorLimits(OWN_PROCESS)?.soft ?? Number.POSITIVE_INFINITY;
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
