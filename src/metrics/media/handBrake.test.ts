import { expect, test } from "bun:test";
import { usesPartOfInput } from "./handBrake.ts";

test("HandBrakeCLI with chapters or a range processes a part of its input", () => {
  const words = "HandBrakeCLI -i a.mkv -o b.mp4 --crop 0:0:0:0 -e x264".split(" ");
  expect(usesPartOfInput(words)).toBe(false);
  for (const option of ["--start-at seconds:60", "--stop-at=frames:9", "--chapters 1-3", "-c 2", "-c2"])
    expect({ option, isPart: usesPartOfInput([...words, ...option.split(" ")]) }).toEqual({
      option,
      isPart: true,
    });
  expect(usesPartOfInput("ffmpeg -i a.mkv -c copy b.mp4".split(" "))).toBe(false);
});
