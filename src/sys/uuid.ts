import { readTextFile } from "./files.ts";

/**
 * Returns a UUID of version 7: the time in ms in 48 bits, then random ones (RFC 9562). The kernel makes those, in a UUID of
 * version 4 (random(4)): the first use of the generator of the runtime takes 0.05 ms more.
 */
export function uuidV7(nowMs: number): string {
  const random = readTextFile("/proc/sys/kernel/random/uuid");
  const time = nowMs.toString(16).padStart(12, "0");
  // 019dc0d1-3f00-7aa1-9c2e-3b1f0c5d7e88
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15, 36)}`;
}
