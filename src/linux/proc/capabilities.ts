import { type Host, readProcFile } from "../host.ts";

// include/uapi/linux/capability.h
export const CAP_SYS_PTRACE = 19;

/**
 * Returns whether this process has an effective capability. Source: CapEff of /proc/self/status,
 * capabilities(7).
 */
export function hasCapability(host: Host, capability: number): boolean {
  return parseCapabilities(readProcFile(host, "self/status")).has(capability);
}

// CapEff:	000001fffeffffff
export function parseCapabilities(status: string): Set<number> {
  const mask = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set(Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (mask >> BigInt(bit)) & 1n));
}
