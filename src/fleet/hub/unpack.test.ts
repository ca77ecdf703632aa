import { expect, test } from "bun:test";
import { gzip } from "../messages/gzip.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseMessage } from "./unpack.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (length: number) => JSON.stringify("x".repeat(length - 2));

test("a message is read with and without compression", () => {
  expect(parseMessage(bytesOf('{"jobs":[]}'))).toEqual({ jobs: [] });
  expect(parseMessage(gzip('{"jobs":["ü"]}'))).toEqual({ jobs: ["ü"] });
});

test("a message that cannot be read is none, and none is longer than the hub accepts without compression", () => {
  expect(parseMessage(bytesOf("{"))).toBeUndefined();
  expect(parseMessage(gzip("{"))).toBeUndefined();
  expect(parseMessage(gzip('{"jobs":[]}').subarray(0, 12))).toBeUndefined();
  expect(parseMessage(new Uint8Array())).toBeUndefined();
  expect(parseMessage(gzip(textOf(MAX_MESSAGE_BYTES)))).toBeString();
  expect(parseMessage(gzip(textOf(MAX_MESSAGE_BYTES + 1)))).toBeUndefined();
});
