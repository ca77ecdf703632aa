import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import {
  compileDirectoryPattern,
  compilePathPattern,
  compilePattern,
  isWithin,
  LONGEST_PATTERN,
  PatternFault,
} from "./pattern.ts";

const matches = (pattern: string, text: string): boolean => compilePattern(pattern).matches(text);
const matchesPath = (pattern: string, path: string): boolean => compilePathPattern(pattern).matches(path);

describe("compilePattern()", () => {
  it.each([
    ["ffmpeg", ["ffmpeg"], ["ffmpeg2", "xffmpeg", "FFmpeg", ""]],
    ["ffmpeg*", ["ffmpeg", "ffmpeg-7.1"], ["xffmpeg"]],
    ["*mpeg", ["ffmpeg", "mpeg"], ["mpegs"]],
    ["*", ["", "anything", "a/b"], []],
    ["a*b*c", ["abc", "aXbYc", "abbcbc"], ["ac", "ab", "abcx"]],
    ["ab*ba", ["abba", "abXba"], ["aba"]],
    ["f?mpeg", ["ffmpeg", "fümpeg", "f🎬mpeg"], ["fmpeg", "fffmpeg"]],
    ["cust-[0-9]*", ["cust-1", "cust-1x"], ["cust-", "cust-x"]],
    ["[!a-c]x", ["dx", "-x"], ["ax", "bx", "x"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[a-]", ["a", "-"], ["b"]],
    ["\\*", ["*"], ["x", ""]],
    ["a\\[b", ["a[b"], ["ab"]],
    ["*rtmp://*acme*", ["ffmpeg -f flv rtmp://x/acme/1"], ["ffmpeg acme rtmp:/"]],
  ] as const)("%s stands for what it looks like", (pattern, yes, no) => {
    for (const text of yes) expect([text, matches(pattern, text)]).toEqual([text, true]);
    for (const text of no) expect([text, matches(pattern, text)]).toEqual([text, false]);
  });

  it.each([
    ["a\\", /ends in/],
    ["[a", /has no "\]"/],
    ["[z-a]", /wrong way round/],
    ["x".repeat(LONGEST_PATTERN + 1), /1025 characters/],
  ])("refuses a pattern that cannot be meant: %#", (pattern, message) => {
    expect(() => compilePattern(pattern)).toThrow(PatternFault);
    expect(() => compilePattern(pattern)).toThrow(message);
  });

  it("agrees with a regular expression of the same meaning on short texts", () => {
    const piece = fc.constantFrom("a", "b", "*", "?", "[ab]", "[!a]");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.stringMatching(/^[abc]{0,8}$/), (pieces, text) => {
        const source = pieces.map((p) => (p === "*" ? ".*" : p === "?" ? "." : p.replace("!", "^"))).join("");
        expect(matches(pieces.join(""), text)).toBe(new RegExp(`^${source}$`).test(text));
      }),
      { numRuns: 2000 },
    );
  });

  it("takes no longer where a backtracking matcher would not come back", () => {
    // Each would take a regular expression of the same meaning longer than the machine will stand.
    expect(matches(`${"*a".repeat(200)}*b*`, "a".repeat(32_768))).toBe(false);
    expect(matches(`${"*[a]?".repeat(200)}*b*`, "a".repeat(32_768))).toBe(false);
    expect(matchesPath(`${"/**/a".repeat(150)}/b`, "/a".repeat(2000))).toBe(false);
  });
});

describe("compilePathPattern()", () => {
  it.each([
    ["/usr/bin/ffmpeg", ["/usr/bin/ffmpeg"], ["/usr/bin/ffmpeg2", "/usr/bin"]],
    ["/opt/*/ffmpeg", ["/opt/a/ffmpeg"], ["/opt/a/b/ffmpeg", "/opt/ffmpeg"]],
    [
      "/opt/**/ffmpeg",
      ["/opt/a/ffmpeg", "/opt/a/b/ffmpeg", "/opt/ffmpeg"],
      ["/opt/a/ffmpegs", "/x/opt/ffmpeg"],
    ],
    ["/opt/**", ["/opt", "/opt/a/b"], ["/opta"]],
    ["/**/live/**/x*", ["/live/x", "/a/live/b/c/xy"], ["/live", "/a/x"]],
    ["/srv//a/", ["/srv/a"], ["/srv/a/b"]],
    ["/", ["/"], ["/a"]],
  ] as const)("%s", (pattern, yes, no) => {
    for (const path of yes) expect([path, matchesPath(pattern, path)]).toEqual([path, true]);
    for (const path of no) expect([path, matchesPath(pattern, path)]).toEqual([path, false]);
  });

  it("refuses what no path of a process can be", () => {
    expect(() => compilePathPattern("ffmpeg")).toThrow(/no absolute path/);
    expect(() => compilePathPattern("/srv/../etc")).toThrow(/"\.\."/);
  });
});

describe("compileDirectoryPattern()", () => {
  it("takes in what lies below, by whole components", () => {
    const directory = compileDirectoryPattern("/srv/a");
    for (const path of ["/srv/a", "/srv/a/b"]) expect(directory.matches(path)).toBe(true);
    for (const path of ["/srv/ab", "/srv", "/x/srv/a"]) expect(directory.matches(path)).toBe(false);
    const pattern = compileDirectoryPattern("/srv/*/live");
    for (const path of ["/srv/a/live", "/srv/a/live/x/y"]) expect(pattern.matches(path)).toBe(true);
    for (const path of ["/srv/a/lives", "/srv/live"]) expect(pattern.matches(path)).toBe(false);
  });

  it("takes in everything for the root", () => {
    expect(isWithin("/srv", "/")).toBe(true);
    expect(compileDirectoryPattern("/").matches("/srv")).toBe(true);
  });
});
