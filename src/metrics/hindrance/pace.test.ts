import { expect, test } from "bun:test";
import { type Pace, paceByIntent, paceOf, paceOfAll } from "./pace.ts";

const pace = (line: string) => paceOf(line.split(" "));

test.each<[string, Pace]>([
  ["ffmpeg -re -i a.mp4 out.flv", { targetSpeed: 1, input: "file", isPaced: true }],
  ["ffmpeg -y -re -stream_loop -1 -i a.mp4 -f null -", { targetSpeed: 1, input: "file", isPaced: true }],
  ["ffmpeg -readrate 0.5 -i a.mp4 out.flv", { targetSpeed: 0.5, input: "file", isPaced: true }],
  ["ffmpeg -readrate 4 -i a.mp4 out.flv", { targetSpeed: 1, input: "file", isPaced: true }],
  ["ffmpeg -i rtmp://in/app/key -i logo.png x.m3u8", { targetSpeed: 1, input: "tcp", isPaced: false }],
  ["ffmpeg -re -i https://a/b.mp4 x.flv", { targetSpeed: 1, input: "tcp", isPaced: true }],
  ["ffmpeg -i srt://0.0.0.0:9000?mode=listener a.ts", { targetSpeed: 1, input: "other", isPaced: false }],
  ["ffmpeg -i udp://239.0.0.1:1234 a.ts", { targetSpeed: 1, input: "other", isPaced: false }],
  ["ffmpeg -i rtsp://cam/1 a.mkv", { targetSpeed: 1, input: "other", isPaced: false }],
  ["ffmpeg -rtsp_transport tcp -i rtsp://cam/1 a.mkv", { targetSpeed: 1, input: "tcp", isPaced: false }],
  ["ffmpeg -f v4l2 -i /dev/video0 -f alsa -i hw:0 a.mkv", { targetSpeed: 1, input: "other", isPaced: false }],
  ["ffmpeg -i https://a/live.m3u8 -f flv rtmp://b/c", { targetSpeed: 1, input: "tcp", isPaced: false }],
  ["ffmpeg -i https://a/b -f tee [f=flv]rtmp://b/c|d.ts", { targetSpeed: 1, input: "tcp", isPaced: false }],
  ["ffmpeg -i pipe:0 -f flv rtmp://b/c", { targetSpeed: 1, input: "other", isPaced: false }],
  ["gst-launch-1.0 rtspsrc location=x ! fakesink", { targetSpeed: 1, input: "other", isPaced: false }],
])("%s is live", (line, expected) => {
  expect(pace(line)).toEqual(expected);
});

test.each<[string, Pace["input"]]>([
  ["ffmpeg -i a.mp4 b.mp4", "file"],
  ["ffmpeg -readrate 0 -i a.mp4 b.mp4", "file"],
  // Only inputs have a rate: this option belongs to no input.
  ["ffmpeg -i a.mp4 -re b.mp4", "file"],
  ["ffmpeg -i https://bucket/a.mp4 b.mp4", "tcp"],
  ["ffmpeg -i - b.mp4", "other"],
  ["ffmpeg -f lavfi -i testsrc2 -f flv rtmp://b/c", "file"],
  ["gst-launch-1.0 filesrc location=a ! fakesink", "other"],
])("%s is not known to be live", (line, input) => {
  expect(pace(line)).toEqual({ targetSpeed: null, input, isPaced: false });
});

test("another program has no pace that can be known", () => {
  for (const line of ["HandBrakeCLI -i a -o b", "sh -c x", "-re -i a", ""])
    expect(pace(line)).toBeUndefined();
  expect(paceOfAll([])).toEqual({ targetSpeed: null, input: "other", isPaced: false });
});

test("one live process makes a job live, and one hidden input hides all", () => {
  const file: Pace = { targetSpeed: null, input: "file", isPaced: false };
  const stream: Pace = { targetSpeed: 1, input: "tcp", isPaced: false };
  expect(paceOfAll([file, stream])).toEqual(stream);
  expect(paceOfAll([stream, { ...file, input: "other" }])).toEqual({ ...stream, input: "other" });
});

test("the operator's word counts more than the command line", () => {
  const file: Pace = { targetSpeed: null, input: "file", isPaced: false };
  expect(paceByIntent(file, "live").targetSpeed).toBe(1);
  expect(paceByIntent({ ...file, targetSpeed: 0.5 }, "live").targetSpeed).toBe(0.5);
  for (const intent of ["batch", "best-effort"])
    expect(paceByIntent({ ...file, targetSpeed: 1 }, intent).targetSpeed).toBeNull();
  for (const intent of [null, "news"]) expect(paceByIntent(file, intent)).toBe(file);
});
