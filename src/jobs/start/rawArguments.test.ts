import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { mayHaveLostBytes, viaShell } from "./rawArguments.ts";

/** Starts a program through the shell and returns the words that it receives. */
function received(words: Uint8Array[]): Uint8Array[] {
  const encoder = new TextEncoder();
  const show = ["-e", "print join qq(\\0), map { length . qq(:$_) } @ARGV", "--"].map((word) =>
    encoder.encode(word),
  );
  const perl = Bun.which("perl") as string;
  const { stdout, exitCode } = Bun.spawnSync(viaShell(perl, [new Uint8Array(), ...show, ...words]));
  expect(exitCode).toBe(0);
  const bytes = new Uint8Array(stdout);
  const result: Uint8Array[] = [];
  for (let position = 0; position < bytes.length; ) {
    const colon = bytes.indexOf(0x3a, position);
    const length = Number(new TextDecoder().decode(bytes.subarray(position, colon)));
    result.push(bytes.slice(colon + 1, colon + 1 + length));
    position = colon + 1 + length + 1;
  }
  return result;
}

describe("mayHaveLostBytes()", () => {
  it("detects bytes that decoding replaced", () => {
    const word = new TextDecoder().decode(new Uint8Array([0x61, 0xff]));
    expect(mayHaveLostBytes(["ffmpeg", "-i", word])).toBe(true);
    expect(mayHaveLostBytes(["ffmpeg", "-i", "vidéo 🎬.mkv", ""])).toBe(false);
  });
});

const hasPerl = Bun.which("perl") !== null;
if (!hasPerl) console.log("not tried: words that a shell passes on: needs perl");

describe.skipIf(!hasPerl)("viaShell()", () => {
  it("passes on words that are not UTF-8, empty, or end in newlines", () => {
    const words = [[0xff, 0xfe], [], [0x0a], [0x61, 0x0a, 0x0a], [0x27, 0x22, 0x24, 0x5c, 0x25, 0x60]].map(
      (bytes) => new Uint8Array(bytes),
    );
    expect(received(words)).toEqual(words);
  });

  it("passes on every byte but NUL, which no argument can contain", () => {
    const every = Uint8Array.from({ length: 255 }, (_, index) => index + 1);
    expect(received([every, every.toReversed()])).toEqual([every, every.toReversed()]);
  });

  it("passes on more words than single digits can number", () => {
    const words = Array.from({ length: 120 }, (_, index) => new TextEncoder().encode(`word ${index}`));
    expect(received(words)).toEqual(words);
  });

  it("passes on random words", () => {
    const word = fc.uint8Array({ min: 1, max: 255, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), (words) => {
        expect(received(words)).toEqual(words);
      }),
      { numRuns: 20 },
    );
  });
});
