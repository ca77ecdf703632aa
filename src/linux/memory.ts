import { type Host, readProcFile } from "./host.ts";

/** Reads the installed memory in bytes, MemTotal of /proc/meminfo. `undefined` where it cannot be read. */
export function readMemoryTotalBytes(host: Host): number | undefined {
  return memoryIn(readProcFile(host, "meminfo"), "MemTotal");
}

// MemTotal:       24660684 kB
/** Returns a line of /proc/meminfo in bytes; `undefined` where there is none. */
export function memoryIn(meminfo: string, name: "MemTotal" | "MemAvailable"): number | undefined {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}

/** The page size on the supported architectures, to which the kernel rounds memory limits. */
export const PAGE_BYTES = 4096;
