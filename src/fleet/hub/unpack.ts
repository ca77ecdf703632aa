import { gunzipSync } from "node:zlib";
import { isGzip } from "../messages/gzip.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseJson } from "../messages/parseJson.ts";

/**
 * Returns what a message of a node contains, compressed or as an agent without compression sends it; `undefined`: it is no JSON. A
 * stolen key can compress a text of any length, so it is at most as long as one that is not compressed.
 */
export function parseMessage(bytes: Uint8Array): unknown {
  if (!isGzip(bytes)) return parseJson(bytes);
  try {
    return parseJson(gunzipSync(bytes, { maxOutputLength: MAX_MESSAGE_BYTES }));
  } catch {
    return undefined;
  }
}
