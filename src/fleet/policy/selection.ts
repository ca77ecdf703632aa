const PARTS = 10_000;

/**
 * Returns whether a policy for a share of a ring is for this node. It depends on the node and on the text of the policy: when
 * the same text is pushed for a larger share, the nodes that have it are part of that share, and another policy begins with
 * other nodes.
 */
export function isSelected(percent: number, node: string, sha256: string): boolean {
  const digest = new Bun.CryptoHasher("sha256").update(`${node}\n${sha256}`).digest();
  return digest.readUInt32BE(0) % PARTS < (percent * PARTS) / 100;
}

/** Returns the SHA-256 by which a policy, or the document with it, is known, in hex. */
export function digestOf(content: string | Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}
