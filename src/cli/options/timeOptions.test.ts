import { describe, expect, it } from "bun:test";
import { parseWaitTime } from "./timeOptions.ts";

describe("parseWaitTime()", () => {
  it("takes what a timer of the runtime can count", () => {
    expect(parseWaitTime("90s")).toBe(90_000);
    expect(parseWaitTime("24d")).toBeLessThan(2 ** 31);
    expect(() => parseWaitTime("25d")).toThrow("is more than 24d");
  });
});
