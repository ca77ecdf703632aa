import { expect, test } from "bun:test";
import { headroomCores, parseHeadroom } from "./governor.ts";

test.each([
  ["10%", 0.4],
  ["12.5 %", 0.5],
  ["0.5 cores", 0.5],
  ["1 core", 1],
])("headroom %s is %d of 4 cores", (text, cores) => {
  expect(headroomCores(parseHeadroom(text), 4)).toBe(cores);
});

test.each(["10", "100%", "0%", "0 cores", "-1 cores", "20000 cores", "half", ""])(
  "headroom %p is refused",
  (text) => {
    expect(() => parseHeadroom(text)).toThrow();
  },
);
