import { describe, expect, it } from "bun:test";
import { parseCommandName, parseDuration, parseInteger, parseNumber, parsePid, parseSize } from "./values.ts";

describe("parseInteger()", () => {
  it("takes both ends of the range, and signs", () => {
    expect(["-20", "+5", "19", "007"].map((text) => parseInteger(text, -20, 19))).toEqual([-20, 5, 19, 7]);
  });

  it("refuses everything that is no plain whole number", () => {
    for (const text of ["", " ", "1.0", "1e3", "0x10", "1 ", "١", "NaN", "Infinity", "--1", "1_000"]) {
      expect(() => parseInteger(text, -100, 1e9)).toThrow(
        "It must be a whole number from -100 to 1000000000.",
      );
    }
  });

  it("refuses what lies outside, and names the unit", () => {
    expect(() => parseInteger("0", 1, 5, " of MB")).toThrow("It must be a whole number of MB from 1 to 5.");
    expect(() => parseInteger("6", 1, 5)).toThrow("from 1 to 5");
    expect(() => parseInteger("9".repeat(400), 1, 5)).toThrow("from 1 to 5");
  });
});

describe("parseNumber()", () => {
  it("takes decimals", () => {
    expect(parseNumber("12.5", 1, 100)).toBe(12.5);
  });

  it("refuses halves of numbers and exponents", () => {
    for (const text of ["1.", ".5", "1e2", "1,5", ""])
      expect(() => parseNumber(text, 0, 1000)).toThrow("from 0 to 1000");
  });
});

describe("parseSize()", () => {
  it("reads the kernel's suffixes, which are powers of 1024, in either case", () => {
    expect(["1", "1k", "1K", "2M", "3g", "1T"].map((text) => parseSize(text, 1))).toEqual([
      1,
      1024,
      1024,
      2 * 1024 ** 2,
      3 * 1024 ** 3,
      1024 ** 4,
    ]);
  });

  it("refuses what is too small, too large to count exactly, or has another unit", () => {
    for (const text of ["0", "63", "9999999T", "64MB", "64 M", "6.4M", "-64", "max", ""]) {
      expect(() => parseSize(text, 64)).toThrow("a whole number of bytes, 64 or more");
    }
  });
});

describe("parseDuration()", () => {
  it("reads units, and seconds where there is none", () => {
    expect(["500ms", "5s", "5", "2m", "1h", "0.5s"].map((text) => parseDuration(text, 100))).toEqual([
      500, 5000, 5000, 120_000, 3_600_000, 500,
    ]);
  });

  it("refuses less than the least, more than a day, and nonsense", () => {
    for (const text of ["0", "99ms", "25h", "5 s", "s", "", "-5s", "5d"]) {
      expect(() => parseDuration(text, 100)).toThrow("a time from 100ms to 24h");
    }
  });
});

describe("parsePid()", () => {
  it("refuses pids that stand for groups of processes in system calls", () => {
    for (const text of ["0", "-1", "-4026"]) expect(() => parsePid(text)).toThrow("from 1 to 4194304");
  });
});

describe("parseCommandName()", () => {
  it("takes names with spaces, as a process may have them", () => {
    expect(parseCommandName("Web Content")).toBe("Web Content");
  });

  it("refuses an empty name and a path, which match nothing or too much", () => {
    for (const text of ["", "/usr/bin/ffmpeg", "./ffmpeg"]) {
      expect(() => parseCommandName(text)).toThrow("the name of a command without its directory");
    }
  });
});
