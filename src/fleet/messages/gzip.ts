/** Compresses a message. The package of Node would be 1 MB more in the agent, and the runtime has this anyway. */
export function gzip(text: string): Uint8Array {
  return Bun.gzipSync(text);
}

/** Returns true for what gzip has compressed. No JSON text begins so. Source: RFC 1952, 2.3.1. */
export function isGzip([first, second]: Uint8Array): boolean {
  return first === 0x1f && second === 0x8b;
}
