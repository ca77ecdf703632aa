import * as z from "zod/mini";

/**
 * A message with results of one node: those of the jobs whose results have the numbers `from` to `to`. A number whose result
 * was pruned before it could be sent is missing in `results`. Unknown keys are those of a later release, and stay.
 *
 * On the hub, `results` is compressed, as base64 in `results_gzip`: it takes a fifth of the length, and the rest is what an agent
 * reads back. Messages of earlier releases have `results` itself.
 */

/** How far a ledger has come: the number and the key of its last result that was sent. */
const mark = z.object({ ledger_id: z.string(), to: z.int().check(z.nonnegative()), to_key: z.string() });

/** A line of `ffrtmp history --json`, with the number and the key of the job. The key is unique among all nodes. */
const resultLine = z.looseObject({ seq: z.int().check(z.positive()), key: z.string() });

/** The part of a message that says how far its node has come. */
export const chainHead = z.extend(mark, {
  v: z.literal(1),
  /** The other ledgers that this node has had, the latest first. */
  before: z._default(z.array(mark), []),
});

export const resultsMessage = z.extend(chainHead, {
  boot_id: z.string(),
  from: z.int().check(z.positive()),
  results: z.array(resultLine),
});

/** The part of a message with its results as the hub has them. */
export const compressedResults = z.looseObject({ results_gzip: z.string() });

export type ChainHead = z.output<typeof chainHead>;
export type ResultLine = z.output<typeof resultLine>;
export type CompressedResults = z.output<typeof compressedResults>;
export type ResultsMessage = z.output<typeof resultsMessage>;
