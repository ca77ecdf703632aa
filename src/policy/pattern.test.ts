import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { ValueFault } from "../limits/units.ts";
import {
  compileDirectoryPattern,
  compilePathPattern,
  compilePattern,
  isWithin,
  MAX_PATTERN_LENGTH,
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
    ["a**b", ["ab", "a/x/b"], ["a"]],
    ["*.mp4", [".mp4", "a/.b.mp4"], ["xmp4"]],
    ["a?b", ["a/b", "a\nb"], ["ab"]],
    ["*end", ["line\nend"], ["end\n"]],
  ] as const)("%s matches names and command lines", (pattern, yes, no) => {
    for (const text of yes) expect([text, matches(pattern, text)]).toEqual([text, true]);
    for (const text of no) expect([text, matches(pattern, text)]).toEqual([text, false]);
  });

  it.each([
    ["{a,b}", ["{a,b}"], ["a", "b"]],
    ["!a", ["!a"], ["a", "b"]],
    ["[^a]", ["^", "a"], ["b"]],
    ["[!]]", ["a"], ["]"]],
    ["[a\\]x", ["ax", "\\x"], ["]x"]],
    ["[--0]", ["-", ".", "/", "0"], [",", "1"]],
    ["a-b", ["a-b"], ["ab"]],
    ["x|(y)+$", ["x|(y)+$"], ["x", "xy"]],
    ["^a.$", ["^a.$"], ["ab", "^ab$"]],
  ] as const)("%s has no other special characters", (pattern, yes, no) => {
    for (const text of yes) expect([text, matches(pattern, text)]).toEqual([text, true]);
    for (const text of no) expect([text, matches(pattern, text)]).toEqual([text, false]);
  });

  it.each([
    ["a\\", /ends in/],
    ["[a", /has no "\]"/],
    ["[!]", /has no "\]"/],
    ["[z-a]", /wrong way round/],
    ["x".repeat(MAX_PATTERN_LENGTH + 1), /1025 characters/],
  ])("rejects a pattern that is not valid: %#", (pattern, message) => {
    expect(() => compilePattern(pattern)).toThrow(ValueFault);
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

  it.each([
    ["many stars", `${"*a".repeat(200)}*b*`],
    ["stars before open characters", `${"*[a]?".repeat(200)}*b*`],
    ["one long run", `*${"a".repeat(1000)}b*`],
    ["one long run of open characters", `*${"?".repeat(1000)}b`],
    ["one long run of classes", `*${"[a]".repeat(300)}b*`],
    ["as many stars as fit", `${"*?".repeat(511)}b`],
  ])("matches a long text in time that is no more than the product of both lengths: %s", (_, pattern) => {
    // A regular expression of the same meaning would not finish.
    const start = performance.now();
    expect(matches(pattern, "a".repeat(32_768))).toBe(false);
    expect(performance.now() - start).toBeLessThan(2000);
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
    ["/a?b", ["/a.b"], ["/a/b"]],
    ["/a**b", ["/aXb"], ["/a/b"]],
    ["/*/x", ["/.a/x", "/A/x"], ["/a/X"]],
  ] as const)("%s", (pattern, yes, no) => {
    for (const path of yes) expect([path, matchesPath(pattern, path)]).toEqual([path, true]);
    for (const path of no) expect([path, matchesPath(pattern, path)]).toEqual([path, false]);
  });

  it.each([
    ["many **", `${"/**/a".repeat(150)}/b`, "/a".repeat(2000)],
    ["stars between many **", `${"/**/*a*a".repeat(100)}/b`, "/aaaa".repeat(800)],
    ["stars in one component", `/**/${"*a".repeat(400)}b/**/x`, `/${"a".repeat(250)}`.repeat(16)],
    ["one long run", `/**/${"*/".repeat(2000)}b`, "/a".repeat(2047)],
  ])(
    "matches a long path in time that is no more than the product of both lengths: %s",
    (_, pattern, path) => {
      const start = performance.now();
      expect(matchesPath(pattern, path)).toBe(false);
      expect(performance.now() - start).toBeLessThan(2000);
    },
  );

  it("rejects a pattern that no path of a process can match", () => {
    expect(() => compilePathPattern("ffmpeg")).toThrow(/not an absolute path/);
    expect(() => compilePathPattern("/srv/../etc")).toThrow(/"\.\."/);
    expect(() => compilePathPattern("/a[/]b")).toThrow(/has no "\]"/);
  });
});

describe("compileDirectoryPattern()", () => {
  it("matches everything below, by whole components", () => {
    const directory = compileDirectoryPattern("/srv/a");
    for (const path of ["/srv/a", "/srv/a/b"]) expect(directory.matches(path)).toBe(true);
    for (const path of ["/srv/ab", "/srv", "/x/srv/a"]) expect(directory.matches(path)).toBe(false);
    const pattern = compileDirectoryPattern("/srv/*/live");
    for (const path of ["/srv/a/live", "/srv/a/live/x/y"]) expect(pattern.matches(path)).toBe(true);
    for (const path of ["/srv/a/lives", "/srv/live"]) expect(pattern.matches(path)).toBe(false);
  });

  it("matches every path for the root", () => {
    expect(isWithin("/srv", "/")).toBe(true);
    expect(compileDirectoryPattern("/").matches("/srv")).toBe(true);
  });
});
