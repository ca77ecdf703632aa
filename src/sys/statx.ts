import { syscall } from "./libc.ts";

const AT_FDCWD = -100;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_INO = 0x100;
const STATX_BYTES = 256;

/**
 * Returns text that two paths share when they lead to the same file; `undefined` for a path that cannot be read. Asks no
 * server of a network or FUSE file system for the attributes (AT_STATX_DONT_SYNC, statx(2)). One of them may still delay
 * the call: NFS checks with its server that the file exists.
 */
export function readFileIdentity(path: string): string | undefined {
  // struct statx { …; u64 stx_ino at 32; …; u32 stx_dev_major at 136; u32 stx_dev_minor at 140; … }
  const status = new DataView(new ArrayBuffer(STATX_BYTES));
  const name = new TextEncoder().encode(`${path}\0`);
  const result = syscall("statx", AT_FDCWD, name, AT_STATX_DONT_SYNC, STATX_INO, status);
  if (result !== 0) return undefined;
  return `${status.getUint32(136, true)}:${status.getUint32(140, true)} ${status.getBigUint64(32, true)}`;
}
