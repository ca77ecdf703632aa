import { describe, expect, it } from "bun:test";
import { parseDuration } from "../../limits/units.ts";
import { optionValue, parseCommandName, parsePid, size, wholeNumber } from "./optionValue.ts";

describe("optionValue()", () => {
  it("says of a value what is wrong with it, and what would be right", () => {
    const parse = optionValue("a time such as 5s", parseDuration);
    expect(parse("2m")).toBe(120_000);
    expect(() => parse("soon")).toThrow("It is no time. Right would be: a time such as 5s.");
  });

  it("lets what is a fault of ours through as it is", () => {
    const parse = optionValue("anything", () => {
      throw new TypeError("ours");
    });
    expect(() => parse("x")).toThrow(TypeError);
  });
});

describe("wholeNumber()", () => {
  it("refuses what lies outside, and names the span", () => {
    expect(wholeNumber(1, 5)("5")).toBe(5);
    for (const text of ["0", "6", "x"])
      expect(() => wholeNumber(1, 5)(text)).toThrow("Right would be: a whole number from 1 to 5.");
  });
});

describe("size()", () => {
  it("takes what memory limits take, from the least on", () => {
    expect(["4096", "4K", "8MiB", "1MB"].map(size(4096))).toEqual([4096, 4096, 8_388_608, 1_000_000]);
    expect(() => size(4096)("4095")).toThrow(
      "It is too small. Right would be: a size of at least 4096 bytes",
    );
  });
});

describe("parsePid()", () => {
  it("refuses pids that stand for groups of processes in system calls", () => {
    for (const text of ["0", "-1", "-4026"])
      expect(() => parsePid(text)).toThrow("a whole number from 1 to 4194304");
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
