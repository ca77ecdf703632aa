import { syscall } from "./libc.ts";

const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const NAME_BYTES = 16;

/**
 * Gives the calling thread the name that it has already (prctl(2), PR_SET_NAME). Nothing changes, but
 * the kernel announces it as it announces every renaming. Returns 0 or −errno.
 */
export function renameOwnThreadToItself(): number {
  const name = new Uint8Array(NAME_BYTES);
  const read = syscall("prctl", PR_GET_NAME, name, 0, 0, 0);
  return read < 0 ? read : syscall("prctl", PR_SET_NAME, name, 0, 0, 0);
}
