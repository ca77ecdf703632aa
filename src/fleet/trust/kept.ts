import * as z from "zod/mini";
import { type SignedDocument, signedDocument } from "../messages/signed.ts";

const keptDocument = z.object({
  /**
   * The highest serial that was accepted from each signer. Those of a signer that is no longer trusted do not count: whoever
   * stole a key could have signed the highest number there is.
   */
  serials: z.record(z.string(), z.int().check(z.nonnegative())),
  /** The last document that was accepted; `null`: none. */
  document: z.nullable(signedDocument),
});

/** The memory of a reader of signed documents about one subject, so that it never accepts an older document again. */
export type Kept = z.output<typeof keptDocument>;
export { keptDocument };

export const NOTHING_KEPT: Kept = { serials: {}, document: null };

/** Returns the highest serial that was accepted from a signer who is trusted now; 0: none. */
export function highestSerial({ serials }: Kept, trusted: ReadonlySet<string>): number {
  return Math.max(0, ...Object.entries(serials).map(([key, serial]) => (trusted.has(key) ? serial : 0)));
}

/** Returns what a document with a good signature is beside those before it. `same`: it is the last one again. */
export function compareWithKept(
  kept: Kept,
  document: SignedDocument,
  serial: number,
  trusted: ReadonlySet<string>,
): "newer" | "same" | "older" {
  const highest = highestSerial(kept, trusted);
  if (serial > highest) return "newer";
  const { document: last } = kept;
  return serial === highest && last?.body === document.body && last.key === document.key ? "same" : "older";
}

export function keep(kept: Kept, document: SignedDocument, serial: number): Kept {
  return { serials: { ...kept.serials, [document.key]: serial }, document };
}
