import { expect, test } from "bun:test";
import { digitsAt } from "./digits.ts";

test("the digits at a place of a text are a number, up to the next other character", () => {
  const text = "rbytes=1459200 wbytes=0\n";
  expect(digitsAt(text, 7)).toBe(1_459_200);
  expect(digitsAt(text, 22)).toBe(0);
  expect(digitsAt(text, 0)).toBeUndefined();
  expect(digitsAt(text, text.length)).toBeUndefined();
  expect(digitsAt("some total=9007199254740991", 11)).toBe(Number.MAX_SAFE_INTEGER);
});
