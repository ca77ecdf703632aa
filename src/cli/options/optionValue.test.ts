import { describe, expect, it } from "bun:test";
import { parseDuration } from "../../limits/units.ts";
import { optionValue, parseCommandNames, parsePid, size, wholeNumber } from "./optionValue.ts";

describe("optionValue()", () => {
  it("names the problem with a value, and what is expected", () => {
    const parse = optionValue("a time such as 5s", parseDuration);
    expect(parse("2m")).toBe(120_000);
    expect(() => parse("soon")).toThrow("It is not a time. Expected: a time such as 5s.");
  });

  it("passes on errors of our own code unchanged", () => {
    const parse = optionValue("anything", () => {
      throw new TypeError("ours");
    });
    expect(() => parse("x")).toThrow(TypeError);
  });
});

describe("wholeNumber()", () => {
  it("refuses a number outside of the range, and names the range", () => {
    expect(wholeNumber(1, 5)("5")).toBe(5);
    for (const text of ["0", "6", "x"])
      expect(() => wholeNumber(1, 5)(text)).toThrow("Expected: a whole number from 1 to 5.");
  });
});

describe("size()", () => {
  it("accepts the sizes that memory limits accept, from the minimum on", () => {
    expect(["4096", "4K", "8MiB", "1MB"].map(size(4096))).toEqual([4096, 4096, 8_388_608, 1_000_000]);
    expect(() => size(4096)("4095")).toThrow("It is too small. Expected: a size of at least 4096 bytes");
  });
});

describe("parsePid()", () => {
  it("answers for a number that no process can have as for a process that does not exist", () => {
    expect(parsePid("4194304")).toBe(4_194_304);
    for (const text of ["0", "-1", "-4026", "4194305", "99999999999999999999999"])
      expect(() => parsePid(text)).toThrow(`process ${text} does not exist`);
  });

  it("refuses what is no number", () => {
    for (const text of ["", "ffmpeg", "1.5", "1e3"])
      expect(() => parsePid(text)).toThrow("Expected: the number of a process, such as 4026.");
  });
});

describe("parseCommandNames()", () => {
  it("accepts names with spaces, which a process may have, and several with commas", () => {
    expect(parseCommandNames("Web Content")).toEqual(["Web Content"]);
    expect(parseCommandNames("ffmpeg, gst-launch-1.0")).toEqual(["ffmpeg", "gst-launch-1.0"]);
  });

  it("refuses an empty name and a path, which match nothing or too much", () => {
    for (const text of ["", ",", "ffmpeg,", "/usr/bin/ffmpeg", "ffmpeg,./x264"]) {
      expect(() => parseCommandNames(text)).toThrow("the name of a command without its directory");
    }
  });
});
