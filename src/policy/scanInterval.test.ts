import { describe, expect, it } from "bun:test";
import { parseScanInterval } from "./scanInterval.ts";

describe("parseScanInterval()", () => {
  it("takes from a tenth of a second to a day", () => {
    expect(["100ms", "1d"].map(parseScanInterval)).toEqual([100, 86_400_000]);
    for (const text of ["0", "99ms", "25h", "5d"])
      expect(() => parseScanInterval(text)).toThrow("is not between 100ms and 24h");
  });
});
