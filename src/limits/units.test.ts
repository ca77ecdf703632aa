import { describe, expect, it } from "bun:test";
import { parseBytes, parseDuration, parseMemory, parseRate, parseWhole } from "./units.ts";

describe("parseBytes()", () => {
  it("counts letters and iB in 1024, in either case, and B in 1000", () => {
    expect(
      ["1", "1k", "1K", "1KiB", "1kB", "2M", "3g", "1TiB", "1 GB", "5B"].map((text) => parseBytes(text, 1)),
    ).toEqual([1, 1024, 1024, 1024, 1000, 2 * 1024 ** 2, 3 * 1024 ** 3, 1024 ** 4, 1000 ** 3, 5]);
  });

  it("gives its unit to bare numbers alone", () => {
    expect(["64", "64B", "64K", "0.5"].map((text) => parseBytes(text, 1024 ** 2))).toEqual([
      64 * 1024 ** 2,
      64,
      64 * 1024,
      512 * 1024,
    ]);
  });

  it("refuses what is no size, and what cannot be counted exactly", () => {
    for (const text of ["", "M", "-64", "1e3", "0x10", "1,5M", "64 apples", "64MiBs", "max", "64  M", "6.M"])
      expect(() => parseBytes(text, 1)).toThrow("is no size");
    for (const text of ["9999999T", "9".repeat(400)])
      expect(() => parseBytes(text, 1)).toThrow("is more than can be counted");
  });
});

describe("parseMemory()", () => {
  it("refuses less than anything can start in, and says when the unit may be the reason", () => {
    expect(parseMemory("1048576", 1)).toBe(1024 ** 2);
    expect(() => parseMemory("64", 1)).toThrow("(a number without a unit counts bytes here)");
    for (const text of ["0", "0.9"]) expect(() => parseMemory(text, 1024 ** 2)).toThrow(/can start$/);
    expect(() => parseMemory("1023K", 1)).toThrow(/can start$/);
  });
});

describe("parseWhole()", () => {
  it("takes both ends of the span, and signs", () => {
    expect(["-20", "+5", "19", "007"].map((text) => parseWhole(text, -20, 19))).toEqual([-20, 5, 19, 7]);
  });

  it("refuses everything that is no plain whole number, and what lies outside", () => {
    for (const text of ["", " ", "1.0", "1e3", "0x10", "1 ", "١", "NaN", "Infinity", "--1", "1_000"])
      expect(() => parseWhole(text, -100, 1e9)).toThrow("is no whole number");
    expect(() => parseWhole("0", 1, 5)).toThrow("is less than 1");
    for (const text of ["6", "9".repeat(400)]) expect(() => parseWhole(text, 1, 5)).toThrow("is more than 5");
  });
});

describe("parseRate()", () => {
  it("takes sizes for bytes, letters for operations, and the second that both are per", () => {
    expect(["50MB/s", "50 MB / s", "1.5K", "7", "max"].map((text) => parseRate(text, "bytes"))).toEqual([
      50_000_000,
      50_000_000,
      1536,
      7,
      "max",
    ]);
    expect(["500/s", "2k"].map((text) => parseRate(text, "operations"))).toEqual([500, 2048]);
  });

  it("refuses nothing at all, and operations in bytes", () => {
    expect(() => parseRate("0", "bytes")).toThrow("would stop the workload");
    expect(() => parseRate("5MB", "operations")).toThrow("is no number of operations");
    expect(() => parseRate("5MB/h", "bytes")).toThrow("is no size");
  });
});

describe("parseDuration()", () => {
  it("reads units, sums of them, and seconds where there is none", () => {
    const texts = ["500ms", "5s", "5", "2m", "1h", "0.5s", "1m30s", "7d", "0"];
    expect(texts.map(parseDuration)).toEqual([
      500, 5000, 5000, 120_000, 3_600_000, 500, 90_000, 604_800_000, 0,
    ]);
  });

  it("refuses what is no time", () => {
    for (const text of ["", "s", "5 s", "-5s", "5y", "1m30", "1e3"])
      expect(() => parseDuration(text)).toThrow("is no time");
  });
});
