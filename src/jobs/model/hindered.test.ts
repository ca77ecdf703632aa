import { expect, test } from "bun:test";
import { NEVER_HINDERED, parseHinderedTimes } from "./hindered.ts";

test("times are read as they were written, also with the verdicts of a later version", () => {
  const times = { secondsBy: { own_limit: 41.3, moon: 5 }, starvedSeconds: 41.3 };
  for (const each of [times, NEVER_HINDERED])
    expect<unknown>(parseHinderedTimes(JSON.parse(JSON.stringify(each)))).toEqual(each);
});

test.each([null, undefined, 5, {}, { secondsBy: null, starvedSeconds: 0 }, { secondsBy: {} }])(
  "%p is no times",
  (value) => {
    expect(parseHinderedTimes(value)).toBeUndefined();
  },
);

test("negative and other times are none", () => {
  for (const own_limit of [-1, "5", null])
    expect(parseHinderedTimes({ secondsBy: { own_limit }, starvedSeconds: 0 })).toBeUndefined();
});
