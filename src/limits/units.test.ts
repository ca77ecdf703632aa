import { describe, expect, it } from "bun:test";
import { parseBytes, parseDuration, parseMemory, parseRate, parseWhole } from "./units.ts";

describe("parseBytes()", () => {
  it("reads letters and iB as powers of 1024, in either case, and B as powers of 1000", () => {
    expect(
      ["1", "1k", "1K", "1KiB", "1kB", "2M", "3g", "1TiB", "1 GB", "5B"].map((text) => parseBytes(text, 1)),
    ).toEqual([1, 1024, 1024, 1024, 1000, 2 * 1024 ** 2, 3 * 1024 ** 3, 1024 ** 4, 1000 ** 3, 5]);
  });

  it("applies its unit to numbers without one only", () => {
    expect(["64", "64B", "64K", "0.5"].map((text) => parseBytes(text, 1024 ** 2))).toEqual([
      64 * 1024 ** 2,
      64,
      64 * 1024,
      512 * 1024,
    ]);
  });

  it("rejects text that is not a size, and sizes too large to count exactly", () => {
    for (const text of ["", "M", "-64", "1e3", "0x10", "1,5M", "64 apples", "64MiBs", "max", "64  M", "6.M"])
      expect(() => parseBytes(text, 1)).toThrow("is not a size");
    for (const text of ["9999999T", "9".repeat(400)])
      expect(() => parseBytes(text, 1)).toThrow("is too large");
  });
});

describe("parseMemory()", () => {
  it("rejects less than a program needs to start, and hints at a missing unit", () => {
    expect(parseMemory("1048576", 1)).toBe(1024 ** 2);
    expect(() => parseMemory("64", 1)).toThrow("(a number without a unit is in bytes here)");
    for (const text of ["0", "0.9"]) expect(() => parseMemory(text, 1024 ** 2)).toThrow(/to start$/);
    expect(() => parseMemory("1023K", 1)).toThrow(/to start$/);
  });
});

describe("parseWhole()", () => {
  it("accepts both ends of the range, and signs", () => {
    expect(["-20", "+5", "19", "007"].map((text) => parseWhole(text, -20, 19))).toEqual([-20, 5, 19, 7]);
  });

  it("rejects everything but plain whole numbers, and numbers out of range", () => {
    for (const text of ["", " ", "1.0", "1e3", "0x10", "1 ", "١", "NaN", "Infinity", "--1", "1_000"])
      expect(() => parseWhole(text, -100, 1e9)).toThrow("is not a whole number");
    expect(() => parseWhole("0", 1, 5)).toThrow("is less than 1");
    for (const text of ["6", "9".repeat(400)]) expect(() => parseWhole(text, 1, 5)).toThrow("is more than 5");
  });
});

describe("parseRate()", () => {
  it("accepts sizes for bytes, letters for operations, and both per second", () => {
    expect(["50MB/s", "50 MB / s", "1.5K", "7", "max"].map((text) => parseRate(text, "bytes"))).toEqual([
      50_000_000,
      50_000_000,
      1536,
      7,
      "max",
    ]);
    expect(["500/s", "2k"].map((text) => parseRate(text, "operations"))).toEqual([500, 2048]);
  });

  it("rejects zero, and operations in bytes", () => {
    expect(() => parseRate("0", "bytes")).toThrow("would stop the workload");
    expect(() => parseRate("5MB", "operations")).toThrow("is not a number of operations");
    expect(() => parseRate("5MB/h", "bytes")).toThrow("is not a size");
  });
});

describe("parseDuration()", () => {
  it("reads units, sums of them, and seconds without a unit", () => {
    const texts = ["500ms", "5s", "5", "2m", "1h", "0.5s", "1m30s", "7d", "0"];
    expect(texts.map(parseDuration)).toEqual([
      500, 5000, 5000, 120_000, 3_600_000, 500, 90_000, 604_800_000, 0,
    ]);
  });

  it("rejects text that is not a time", () => {
    for (const text of ["", "s", "5 s", "-5s", "5y", "1m30", "1e3"])
      expect(() => parseDuration(text)).toThrow("is not a time");
  });
});
