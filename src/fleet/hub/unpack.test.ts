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

test("results are read with and without compression, and what else a message says stays", () => {
  const results = [{ seq: 1, key: "a" }];
  expect(parseMessage(bytesOf(JSON.stringify({ v: 1, results })))).toEqual({ v: 1, results });
  const packed = (text: string) => bytesOf(JSON.stringify({ v: 1, results_gzip: gzip(text).toBase64() }));
  expect(parseMessage(packed(JSON.stringify(results)))).toEqual({ v: 1, results });
  expect(parseMessage(packed("["))).toEqual({ v: 1, results: undefined });
  expect(parseMessage(packed(textOf(MAX_MESSAGE_BYTES + 1)))).toEqual({ v: 1, results: undefined });
  expect(parseMessage(bytesOf('{"v":1,"results_gzip":"no base64"}'))).toEqual({ v: 1, results: undefined });
});

test("a message that cannot be read is none, and none is longer than the hub accepts without compression", () => {
  expect(parseMessage(bytesOf("{"))).toBeUndefined();
  expect(parseMessage(gzip("{"))).toBeUndefined();
  expect(parseMessage(gzip('{"jobs":[]}').subarray(0, 12))).toBeUndefined();
  expect(parseMessage(new Uint8Array())).toBeUndefined();
  expect(parseMessage(gzip(textOf(MAX_MESSAGE_BYTES)))).toBeString();
  expect(parseMessage(gzip(textOf(MAX_MESSAGE_BYTES + 1)))).toBeUndefined();
});
