import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_COMMAND_BYTES, recordedCommand } from "./command.ts";

test("a command that fits is recorded as it is", () => {
  const words = ["ffmpeg", "", "a\nb", "x".repeat(MAX_COMMAND_BYTES - 13)];
  expect(recordedCommand(words)).toEqual({ command: words, commandCut: false });
  expect(recordedCommand(words, true)).toEqual({ command: words, commandCut: true });
  expect(recordedCommand([...words, ""])).toEqual({ command: words, commandCut: true });
});

test("a longer one is cut at a word or a character, and is at most as long as the limit", () => {
  const word = fc.oneof(
    fc.string({ unit: "binary", maxLength: 50 }),
    fc.constantFrom("🎬", "é", "x").map((c) => c.repeat(5000)),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (given) => {
      const words = given.map((each) => each.toWellFormed());
      const { command, commandCut } = recordedCommand(words);
      expect(Buffer.from(command.join("\0")).length).toBeLessThan(MAX_COMMAND_BYTES);
      expect(words.join("\0")).toStartWith(command.join("\0"));
      expect(command.every((each) => each.isWellFormed())).toBeTrue();
      expect(commandCut).toBe(command.length < words.length || command.at(-1) !== words.at(-1));
    }),
  );
});
