import { expect, test } from "bun:test";
import { uuidV7 } from "./uuid.ts";

test("uuidV7() has the time, the version and the variant of RFC 9562", () => {
  // The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z
  const uuid = uuidV7(0x017f22e279b0);
  expect(uuid).toMatch(/^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidV7(1)).toStartWith("00000000-0001-7");
});

test("uuidV7() returns another one each time", () => {
  const uuids = new Set(Array.from({ length: 1000 }, () => uuidV7(0)));
  expect(uuids.size).toBe(1000);
});
