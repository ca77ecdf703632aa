import { type Host, readProcFile } from "./host.ts";

/** Installed memory in bytes. Source: MemTotal of /proc/meminfo. `undefined` where it cannot be read. */
export function readMemoryTotalBytes(host: Host): number | undefined {
  const text = readProcFile(host, "meminfo");
  // MemTotal:       24660684 kB
  const kilobytes = text.match(/^MemTotal:\s+(\d+) kB/m)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** Page size of every architecture we build for, as far as memory limits are rounded to it by the kernel. */
export const PAGE_BYTES = 4096;
