import { errnoName } from "./errno.ts";
import { syscall } from "./libc.ts";

const RLIMIT_NOFILE = 7;
const OWN_PROCESS = 0;

/**
 * Sets the soft limit on open descriptors of this process and its future children, and leaves the hard limit
 * (prlimit(2), RLIMIT_NOFILE). Returns 0 or −errno: −EINVAL when `soft` is above the hard limit.
 */
export function setSoftFileLimit(soft: bigint | number): number {
  const hard = readHardFileLimit();
  const wanted = new BigUint64Array([BigInt(soft), hard]);
  return syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, wanted, 0);
}

function readHardFileLimit(): bigint {
  // struct rlimit64 { u64 rlim_cur; u64 rlim_max; }
  const limits = new BigUint64Array(2);
  const result = syscall("prlimit64", OWN_PROCESS, RLIMIT_NOFILE, 0, limits);
  const [, hard] = limits;
  if (result !== 0 || hard === undefined) throw new Error(`prlimit64(RLIMIT_NOFILE): ${errnoName(result)}`);
  return hard;
}
