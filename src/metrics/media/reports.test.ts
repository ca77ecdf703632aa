import { expect, test } from "bun:test";
import { addedSeconds, parseConcatList, parseLog, parsePlaylist, parseProgress } from "./reports.ts";

const block = (time: string, state = "continue") =>
  `frame=250\nfps=25.0\nout_time_us=10000000\nout_time=${time}\ndrop_frames=3\nspeed=1.01x\nprogress=${state}\n`;

test("the last complete block of -progress counts", () => {
  const frames = { frames: 250, droppedFrames: 3 };
  const text = `${block("00:00:10.000000")}${block("00:00:10.500000")}frame=275\nout_time=00:00:11.000000\n`;
  expect(parseProgress(text)).toEqual({ mediaSeconds: 10.5, isAtEnd: false, ...frames });
  expect(parseProgress(text.slice(30))).toEqual({ mediaSeconds: 10.5, isAtEnd: false, ...frames });
  expect(parseProgress(block("00:00:12.000000", "end"))).toEqual({
    mediaSeconds: 12,
    isAtEnd: true,
    ...frames,
  });
  expect(parseProgress("out_time=00:00:01.000000\nprogress=continue\n")?.frames).toBeUndefined();
});

test("a block without a time has none, not that of the block before", () => {
  expect(parseProgress(block("N/A"))).toBeUndefined();
  expect(parseProgress(`${block("00:00:10.000000")}frame=1\nprogress=continue\n`)).toBeUndefined();
  expect(parseProgress("out_time=00:00:10.000000\n")).toBeUndefined();
  expect(parseProgress("")).toBeUndefined();
});

test("the last status line of a log counts, wherever it was overwritten", () => {
  const line = (time: string) =>
    `frame=  250 fps= 25 q=28.0 size=     512kB time=${time} bitrate= 419.4kbits/s speed=1.01x    \r`;
  expect(parseLog(`Stream #0:0\n${line("00:00:09.50")}${line("00:00:10.00")}[mp4] a warning\n`)).toEqual({
    mediaSeconds: 10,
    isAtEnd: false,
  });
  expect(parseLog("size=N/A time=00:01:00.00 bitrate=N/A speed=5x\r")).toMatchObject({ mediaSeconds: 60 });
  expect(parseLog("the time=00:00:10.00 of lunch\n")).toBeUndefined();
});

test("progressreport of GStreamer counts whole seconds, and has the length where there is one", () => {
  const report = { isAtEnd: false, stepSeconds: 1 };
  const text = "Setting pipeline to PLAYING ...\nprogressreport0 (00:00:05): 4 / 60 seconds ( 6.7 %)\n";
  expect(parseLog(text)).toEqual({ ...report, mediaSeconds: 4, lengthSeconds: 60 });
  expect(parseLog("live0 (01:00:05): 3604 seconds\n")).toEqual({ ...report, mediaSeconds: 3604 });
  expect(parseLog("p (00:00:01): 5206016 / 11544989 bytes (45.1 %)\n")).toBeUndefined();
});

test("HandBrakeCLI says a percentage, of each pass from 0 on", () => {
  const line = (task: string) =>
    `Encoding: task ${task}, 23.50 % (102.27 fps, avg 98.22 fps, ETA 00h00m10s)\r`;
  const report = { isAtEnd: false, isOneOfPasses: false };
  expect(parseLog(`Scanning title 1 of 1, 99.00 %\r${line("1 of 1")}`)).toEqual({ ...report, percent: 23.5 });
  expect(parseLog(line("2 of 2"))).toEqual({ ...report, percent: 61.75, isOneOfPasses: true });
  expect(parseLog("Scanning title 1 of 1, preview 5, 50.00 %\r")).toBeUndefined();
});

const PLAYLIST = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:12
#EXTINF:4.000000,
x12.ts
#EXTINF:3.500000,
x13.ts
`;

test("a playlist has segments with durations", () => {
  expect(parsePlaylist(PLAYLIST)).toEqual({ firstSegment: 12, segmentSeconds: [4, 3.5], isAtEnd: false });
  expect(parsePlaylist(`${PLAYLIST}#EXT-X-ENDLIST\n`)?.isAtEnd).toBe(true);
  expect(parsePlaylist("#EXTM3U\n")).toBeUndefined();
  expect(parsePlaylist("x")).toBeUndefined();
});

test("segments that were added count, unless some were not seen", () => {
  const playlist = (firstSegment: number, segmentSeconds: number[]) => ({
    firstSegment,
    segmentSeconds,
    isAtEnd: false,
  });
  const before = playlist(3, [4, 4, 4]);
  expect(addedSeconds(before, before)).toBe(0);
  expect(addedSeconds(before, playlist(5, [4, 4, 3]))).toBe(7);
  expect(addedSeconds(before, playlist(7, [4, 4, 4]))).toBeUndefined();
  expect(addedSeconds(before, playlist(0, [4]))).toBeUndefined();
});

test("a list for concat has files with quotes and escapes", () => {
  const list =
    "ffconcat version 1.0\n# x\nfile 'part 1.mp4'\nduration 3\nfile part\\ 2.mp4\n file 'it'\\''s'\n";
  expect(parseConcatList(list)).toEqual(["part 1.mp4", "part 2.mp4", "it's"]);
  expect(parseConcatList("")).toEqual([]);
});
