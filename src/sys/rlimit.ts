import { syscall } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;
const RLIM_INFINITY = (1n << 64n) - 1n;

export interface FileLimits {
  soft: bigint | "max";
  hard: bigint | "max";
}

/** How many descriptors this process may hold open (prlimit(2), RLIMIT_NOFILE). */
export function getFileLimits(): FileLimits {
  const [soft, hard] = readFileLimits();
  return { soft: soft === RLIM_INFINITY ? "max" : soft, hard: hard === RLIM_INFINITY ? "max" : hard };
}

/**
 * Sets the soft limit on open descriptors of this process and leaves the hard one; children inherit it.
 * Returns 0 or −errno: −EINVAL when `soft` is above the hard limit.
 */
export function setSoftFileLimit(soft: bigint | number): number {
  const [, hard] = readFileLimits();
  const wanted = new BigUint64Array([BigInt(soft), hard]);
  return syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, wanted, 0);
}

function readFileLimits(): [soft: bigint, hard: bigint] {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const limits = new BigUint64Array(2);
  const result = syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, 0, limits);
  const [soft, hard] = limits;
  if (result !== 0 || soft === undefined || hard === undefined) {
    throw new Error(`prlimit64 of our own RLIMIT_NOFILE failed with errno ${-result}`);
  }
  return [soft, hard];
}
