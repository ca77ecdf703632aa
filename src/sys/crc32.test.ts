import { expect, test } from "bun:test";
import { crc32 } from "./crc32.ts";

test("crc32() returns the check value of the standard", () => {
  expect(crc32("123456789")).toBe(0xcbf43926);
});

test("crc32() returns what the runtime does, for any text", () => {
  for (const text of [
    "",
    "/",
    "/var/lib/ffrtmp",
    "Ä ö 🎬",
    "\ud800",
    "x".repeat(1000),
    "\0\u007f\u0080\u07ff",
  ])
    expect(crc32(text)).toBe(Bun.hash.crc32(text));
});
