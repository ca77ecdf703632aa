import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { escapeLines, hasInvisible, oneLine } from "./visibleText.ts";

/** The characters that no output of ffrtmp may contain, written independently of the code. */
function isDangerous(codePoint: number): boolean {
  if (codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f)) return true;
  if (codePoint === 0x061c || codePoint === 0x200e || codePoint === 0x200f) return true;
  if (codePoint >= 0x2028 && codePoint <= 0x202e) return true;
  if (codePoint >= 0x2066 && codePoint <= 0x2069) return true;
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}

/** UTF-16 code units of every kind, the dangerous ones as likely as the others. */
const unit = fc.oneof(
  fc.integer({ min: 0, max: 0xa0 }),
  fc.integer({ min: 0x2000, max: 0x2070 }),
  fc.integer({ min: 0xd800, max: 0xdfff }),
  fc.integer({ min: 0, max: 0xffff }),
);
const text = fc.array(unit, { maxLength: 40 }).map((units) => String.fromCharCode(...units));

function dangerousIn(shown: string): string[] {
  return [...shown].filter((character) => isDangerous(character.codePointAt(0) as number));
}

describe("oneLine()", () => {
  it("leaves letters of all scripts alone", () => {
    expect(oneLine("Ünïcödé 🎬 視頻 שלום")).toBe("Ünïcödé 🎬 視頻 שלום");
  });

  it.each([
    ["a\nb", "a\\u000ab"],
    ["\u001b[31m\u009b", "\\u001b[31m\\u009b"],
    ["\u202egpj.exe", "\\u202egpj.exe"],
    ["a\u2028b\u2029", "a\\u2028b\\u2029"],
    ["\ud83d!", "\\ud83d!"],
    ["\u{e0041}", "\\udb40\\udc41"],
  ])("escapes %j", (given, shown) => {
    expect(oneLine(given)).toBe(shown);
  });

  it("returns a text without any dangerous character, from which JSON reads the given one", () => {
    fc.assert(
      fc.property(text, (given) => {
        const shown = oneLine(given);
        expect(dangerousIn(shown)).toEqual([]);
        expect(shown.isWellFormed()).toBeTrue();
        expect(oneLine(shown)).toBe(shown);
        // Only the characters that are escaped differ.
        const quoted = given.replace(/["\\]/g, "_");
        expect(JSON.parse(`"${oneLine(quoted)}"`)).toBe(quoted);
        expect(hasInvisible(given)).toBe(shown !== given);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("escapeLines()", () => {
  it("keeps newlines, and JSON keeps its meaning", () => {
    fc.assert(
      fc.property(text, (given) => {
        const shown = escapeLines(JSON.stringify({ [given]: [given] }, undefined, 2));
        expect(dangerousIn(shown).filter((character) => character !== "\n")).toEqual([]);
        expect(JSON.parse(shown)).toEqual({ [given]: [given] });
        expect(escapeLines(given).split("\n")).toEqual(given.split("\n").map(oneLine));
      }),
      { numRuns: 2000 },
    );
  });
});
