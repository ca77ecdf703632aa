import { syscall } from "./libc.ts";

// include/uapi/linux/falloc.h
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/**
 * Frees the blocks of the first bytes of a file, which then reads as zeros there: fallocate(2). Its size and the positions
 * of its writers stay. Returns 0 or −errno: −EOPNOTSUPP on a file system that cannot.
 */
export function freeStartOfFile(fd: number, bytes: number): number {
  return syscall("fallocate", fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes);
}
