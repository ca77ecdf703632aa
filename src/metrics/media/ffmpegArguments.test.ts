import { expect, test } from "bun:test";
import { lengthOf, parseFfmpegArguments, parseTime } from "./ffmpegArguments.ts";

const parse = (line: string) => parseFfmpegArguments(line.split(" "));

test("options before an input are the input's, those after the last one the output's", () => {
  expect(parse("/usr/bin/ffmpeg -ss 10 -t 1:00 -i a.mp4 -to 30 -c:v libx264 out.mkv")).toEqual({
    inputs: [{ url: "a.mp4", startSeconds: 10, durationSeconds: 60 }],
    output: { endSeconds: 30 },
    isLooped: false,
  });
});

test("the files of progress and playlist and loops are found", () => {
  const found = parse(
    "ffmpeg -progress file:/run/p -stream_loop -1 -f concat -i list.txt -y -f hls file:/srv/x.m3u8",
  );
  expect(found).toMatchObject({
    progress: "file:/run/p",
    playlist: "/srv/x.m3u8",
    isLooped: true,
    inputs: [{ url: "list.txt", format: "concat" }],
  });
  expect(parse("ffmpeg -i in.m3u8 -master_pl_name master.m3u8 v.m3u8")).toMatchObject({
    playlist: "v.m3u8",
    inputs: [{ url: "in.m3u8" }],
  });
  expect(parse("ffmpeg -stream_loop 0 -i a -progress")).toMatchObject({ isLooped: false });
});

test("only ffmpeg is ffmpeg", () => {
  for (const name of ["ffmpeg", "/opt/ffmpeg-7.1", "ffmpeg5", "ffmpeg.bin"])
    expect(parse(`${name} -i a b`)).toBeDefined();
  for (const name of ["ffprobe", "ffmpegthumbnailer", "sh", ""])
    expect(parse(`${name} -i a b`)).toBeUndefined();
});

test("durations have all forms of ffmpeg", () => {
  const values = { "90": 90, "1.5": 1.5, "1500ms": 1.5, "01:30": 90, "-00:00:01.500": -1.5, "1:00:00": 3600 };
  for (const [text, seconds] of Object.entries(values))
    expect({ text, seconds: parseTime(text) }).toEqual({ text, seconds });
  for (const text of ["", "N/A", "x", "1:2:3:4"]) expect(parseTime(text)).toBeUndefined();
});

test("the length is what the options leave of the input", () => {
  expect(lengthOf(100, {}, {})).toBe(100);
  expect(lengthOf(100, { startSeconds: 20, durationSeconds: 50 }, {})).toBe(50);
  expect(lengthOf(100, { startSeconds: 80, durationSeconds: 50 }, {})).toBe(20);
  expect(lengthOf(100, { startSeconds: 20, endSeconds: 50 }, { startSeconds: 10 })).toBe(20);
  expect(lengthOf(undefined, {}, { durationSeconds: 60 })).toBe(60);
  expect(lengthOf(undefined, {}, {})).toBeUndefined();
});
