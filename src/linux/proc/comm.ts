/** The room that the kernel has for the name of a task, with a NUL byte at its end: TASK_COMM_LEN, include/linux/sched.h. */
export const COMM_BYTES = 16;

/** Returns a name as the kernel keeps it: at most 15 bytes, which can split a character, then NUL bytes. */
export function commBytesOf(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(COMM_BYTES);
  bytes.set(new TextEncoder().encode(name).subarray(0, COMM_BYTES - 1));
  return bytes;
}

/** Returns the same name as it is read from procfs: a character that the kernel has cut becomes U+FFFD. */
export function commOf(name: string): string {
  return Buffer.from(name)
    .subarray(0, COMM_BYTES - 1)
    .toString();
}
