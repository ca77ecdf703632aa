import { describe, expect, it } from "bun:test";
import { parseSince, parseWaitTime } from "./times.ts";

const NOW = Date.UTC(2026, 10, 26, 21);

describe("parseSince()", () => {
  it("takes a duration before now", () => {
    expect(parseSince("2h", NOW)).toBe(NOW - 7_200_000);
    expect(parseSince("1d12h", NOW)).toBe(NOW - 129_600_000);
  });

  it("takes a time with its zone, and else the local time", () => {
    expect(parseSince("2026-11-26T19:30:00Z", NOW)).toBe(NOW - 5_400_000);
    expect(parseSince("2026-11-26 20:30+01:00", NOW)).toBe(NOW - 5_400_000);
    expect(parseSince("2026-11-26", NOW)).toBe(new Date(2026, 10, 26).getTime());
    expect(parseSince("2026-11-26T21:00", NOW)).toBe(new Date(2026, 10, 26, 21).getTime());
  });

  it.each(["", "yesterday", "2026-13-40", "2026-11-26T", "2026-11-26Z", "-2h"])("rejects %p", (text) => {
    expect(() => parseSince(text, NOW)).toThrow("is not a time");
  });
});

describe("parseWaitTime()", () => {
  it("takes what a timer of the runtime can count", () => {
    expect(parseWaitTime("90s")).toBe(90_000);
    expect(parseWaitTime("24d")).toBeLessThan(2 ** 31);
    expect(() => parseWaitTime("25d")).toThrow("is more than 24d");
  });
});
