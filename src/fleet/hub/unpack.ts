import { gunzipSync } from "node:zlib";
import { isGzip } from "../messages/gzip.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseJson } from "../messages/parseJson.ts";
import { compressedResults } from "../messages/results.ts";

/**
 * Returns what a message of a node contains, compressed or as earlier agents send it; `undefined`: it is no JSON. A report is
 * compressed as a whole, and of a message with results only these.
 */
export function parseMessage(bytes: Uint8Array): unknown {
  if (isGzip(bytes)) return unpack(bytes);
  const json = parseJson(bytes);
  const { data: message } = compressedResults.safeParse(json);
  if (message === undefined) return json;
  const { results_gzip: packed, ...head } = message;
  return { ...head, results: unpack(Buffer.from(packed, "base64")) };
}

/** A stolen key can compress a text of any length, so it is at most as long as one that is not compressed. */
function unpack(bytes: Uint8Array): unknown {
  try {
    return parseJson(gunzipSync(bytes, { maxOutputLength: MAX_MESSAGE_BYTES }));
  } catch {
    return undefined;
  }
}
