import { type Host, readProcFile } from "./host.ts";

/** Reads the installed memory in bytes, MemTotal of /proc/meminfo. `undefined` where it cannot be read. */
export function readMemoryTotalBytes(host: Host): number | undefined {
  const text = readProcFile(host, "meminfo");
  // MemTotal:       24660684 kB
  const kilobytes = text.match(/^MemTotal:\s+(\d+) kB/m)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** The page size on the supported architectures, to which the kernel rounds memory limits. */
export const PAGE_BYTES = 4096;
