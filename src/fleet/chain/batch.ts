import { gzip } from "../messages/gzip.ts";
import type { ChainHead, CompressedResults, ResultLine, ResultsMessage } from "../messages/results.ts";
import type { Mark, Position } from "./chain.ts";

const MAX_RESULTS = 200;
/** The hub accepts messages of 256 KiB, with their headers and the other keys. What cannot be compressed becomes a third longer. */
const MAX_RESULT_BYTES = 160 * 1024;
/** Keys without which a result still says how its job ended, the longest first. Processes and operators choose their lengths. */
const OPTIONAL_KEYS = ["command", "labels", "limits", "platform_sla_reason", "exit_unknown_because"];

/** A message with the results that follow a position. */
export interface Batch extends Omit<Mark, "ledgerId"> {
  readonly text: string;
}

/** Returns the results with numbers above one, at most `max`. */
export type ReadLines = (sent: number, max: number) => ResultLine[];

/** Returns the next message after a position; `undefined` where the ledger has no later result. */
export function nextBatch(position: Position, bootId: string, read: ReadLines): Batch | undefined {
  const { ledgerId, sent, before } = position;
  const lines: string[] = [];
  let last: ResultLine | undefined;
  let bytes = 0;
  for (const line of read(sent, MAX_RESULTS)) {
    const text = textOf(line);
    bytes += Buffer.byteLength(text) + 1;
    if (bytes > MAX_RESULT_BYTES && lines.length > 0) break;
    lines.push(text);
    last = line;
  }
  if (last === undefined) return undefined;
  const { seq: to, key: toKey } = last;
  const message: ChainHead & Omit<ResultsMessage, "results"> & CompressedResults = {
    v: 1,
    ledger_id: ledgerId,
    boot_id: bootId,
    from: sent + 1,
    to,
    to_key: toKey,
    before: before.map((mark) => ({ ledger_id: mark.ledgerId, to: mark.to, to_key: mark.toKey })),
    results_gzip: gzip(`[${lines.join()}]`).toBase64(),
  };
  return { to, toKey, text: JSON.stringify(message) };
}

/** Leaves out keys of a result that alone is too long for a message. */
function textOf(line: ResultLine): string {
  let left: ResultLine = line;
  for (const key of OPTIONAL_KEYS) {
    const text = JSON.stringify(left);
    if (Buffer.byteLength(text) <= MAX_RESULT_BYTES) return text;
    const { [key]: _, ...rest } = left;
    left = { ...rest, seq: line.seq, key: line.key, shortened: true };
  }
  const text = JSON.stringify(left);
  if (Buffer.byteLength(text) <= MAX_RESULT_BYTES) return text;
  // A message that the hub never takes would hold up all that follow.
  return JSON.stringify({ seq: line.seq, key: line.key, shortened: true, fault: "it is too long" });
}
