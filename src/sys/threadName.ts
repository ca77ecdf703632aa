import { syscall } from "./libc.ts";

const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const NAME_BYTES = 16;

/**
 * Renames the calling thread to its present name (prctl(2), PR_SET_NAME). This changes nothing, but the
 * kernel sends an event as for every renaming. Returns 0 or −errno.
 */
export function renameOwnThreadToItself(): number {
  const name = new Uint8Array(NAME_BYTES);
  const read = syscall("prctl", PR_GET_NAME, name, 0, 0, 0);
  return read < 0 ? read : syscall("prctl", PR_SET_NAME, name, 0, 0, 0);
}
