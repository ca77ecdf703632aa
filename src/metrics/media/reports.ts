import { parseTime } from "./ffmpegArguments.ts";

/** The progress that a program reports. */
export interface Report {
  /** The media time that it has put out, in seconds. Absent where it says `percent` alone. */
  readonly mediaSeconds?: number;
  /** It says that it has finished. */
  readonly isAtEnd: boolean;
  /** Video frames that it has put out, and that it has dropped: of ffmpeg. */
  readonly frames?: number | undefined;
  readonly droppedFrames?: number | undefined;
  /** The length of the whole, where the program says it. */
  readonly lengthSeconds?: number;
  /** The part that is processed, where the program says no media time. */
  readonly percent?: number;
  /** It is one of several passes over the input: a percentage of all of them is no media time. */
  readonly isOneOfPasses?: boolean;
  /** The step in which the media time is reported. Absent: fine enough. */
  readonly stepSeconds?: number;
}

// frame=250
// …
// out_time=00:00:10.000000      ← N/A before the first packet
// dup_frames=0
// drop_frames=3
// speed=1.01x
// progress=continue             ← ends a block: fftools/ffmpeg.c, print_report()
/** Returns the last complete block of a file of `-progress`. */
export function parseProgress(text: string): Report | undefined {
  const end = Math.max(text.lastIndexOf("progress=continue\n"), text.lastIndexOf("progress=end\n"));
  if (end < 0) return undefined;
  const block = text.slice(0, end);
  const time = lastMatch(block, /^out_time=(\S+)$/gm);
  const mediaSeconds = time && parseTime(time[1] as string);
  // The last block may have no time: then an earlier time is not of now.
  if (mediaSeconds === undefined || block.slice(time?.index).includes("progress=")) return undefined;
  // Without a stream of video there is no `frame=`.
  const countOf = (name: string) => {
    const digits = lastMatch(block, new RegExp(`^${name}= *(\\d+)$`, "gm"))?.[1];
    return digits === undefined ? undefined : Number(digits);
  };
  const frames = countOf("frame");
  return {
    mediaSeconds: Math.max(0, mediaSeconds),
    isAtEnd: text.startsWith("progress=end", end),
    ...(frames === undefined ? {} : { frames, droppedFrames: countOf("drop_frames") }),
  };
}

// frame=  250 fps= 25 q=28.0 size=     512kB time=00:00:10.00 bitrate= 419.4kbits/s speed=1.01x    \r
const FFMPEG_STATUS = /(?:^|[\r\n])[^\r\n]*\bsize= *\S+ time=(-?[\d:.]+) bitrate=/g;
// progressreport0 (00:00:05): 4 / 60 seconds ( 6.7 %)
// progressreport0 (00:00:05): 4 seconds                    ← without a length, as of a live stream
// The first word is the name of the element: gst/debugutils/progressreport.c
const GSTREAMER_PROGRESS = /^\S+ \(\d+:\d\d:\d\d\): (\d+)(?: \/ (\d+))? seconds\b/gm;
// Encoding: task 1 of 2, 23.50 % (102.27 fps, avg 98.22 fps, ETA 00h00m10s)\r
const HANDBRAKE_PROGRESS = /(?:^|[\r\n])Encoding: task (\d+) of (\d+), (\d+\.\d+) %/g;

/** Returns the last status line of ffmpeg, of progressreport of GStreamer, or of HandBrakeCLI in a log. */
export function parseLog(text: string): Report | undefined {
  const found = [
    { match: lastMatch(text, FFMPEG_STATUS), read: readFfmpeg },
    { match: lastMatch(text, GSTREAMER_PROGRESS), read: readGstreamer },
    { match: lastMatch(text, HANDBRAKE_PROGRESS), read: readHandBrake },
  ].sort((a, b) => (b.match?.index ?? -1) - (a.match?.index ?? -1));
  const [last] = found;
  return last?.match && last.read(last.match);
}

function readFfmpeg([, time = ""]: RegExpExecArray): Report | undefined {
  const mediaSeconds = parseTime(time);
  return mediaSeconds === undefined ? undefined : { mediaSeconds: Math.max(0, mediaSeconds), isAtEnd: false };
}

function readGstreamer([, seconds, length]: RegExpExecArray): Report {
  const report = { mediaSeconds: Number(seconds), isAtEnd: false, stepSeconds: 1 };
  return length === undefined ? report : { ...report, lengthSeconds: Number(length) };
}

/** The percentage starts again with each pass. */
function readHandBrake([, pass, passes, percent]: RegExpExecArray): Report {
  return {
    percent: (100 * (Number(pass) - 1) + Number(percent)) / Number(passes),
    isAtEnd: false,
    isOneOfPasses: Number(passes) > 1,
  };
}

/** A playlist of HLS: RFC 8216. */
export interface Playlist {
  /** The number of the first segment in it. */
  readonly firstSegment: number;
  /** The durations of its segments. */
  readonly segmentSeconds: readonly number[];
  readonly isAtEnd: boolean;
}

// #EXT-X-MEDIA-SEQUENCE:12
// #EXTINF:4.004000,
export function parsePlaylist(text: string): Playlist | undefined {
  if (!text.startsWith("#EXTM3U")) return undefined;
  const segmentSeconds = [...text.matchAll(/^#EXTINF:(\d+(?:\.\d+)?)/gm)].map(([, seconds]) =>
    Number(seconds),
  );
  if (segmentSeconds.length === 0) return undefined;
  return {
    firstSegment: Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(text)?.[1] ?? 0),
    segmentSeconds,
    isAtEnd: /^#EXT-X-ENDLIST/m.test(text),
  };
}

/** Returns the media time that was added to a playlist between two readings; `undefined`: segments in between are unknown. */
export function addedSeconds(before: Playlist, now: Playlist): number | undefined {
  const added =
    now.firstSegment + now.segmentSeconds.length - before.firstSegment - before.segmentSeconds.length;
  if (added < 0 || added > now.segmentSeconds.length) return undefined;
  return now.segmentSeconds.slice(now.segmentSeconds.length - added).reduce((sum, each) => sum + each, 0);
}

// file 'part 1.mp4'
// file part\ 2.mp4
/** Returns the files in a list for `-f concat`, as they are written there: ffmpeg-formats(1), concat. */
export function parseConcatList(text: string): string[] {
  return [...text.matchAll(/^[ \t]*file[ \t]+(.+?)[ \t\r]*$/gm)].map(([, word = ""]) =>
    // Quotes as in ffmpeg-utils(1): '…' as it is, and \ before any other character.
    word.replace(/'([^']*)'|\\(.)/g, (_, quoted?: string, escaped?: string) => quoted ?? escaped ?? ""),
  );
}

function lastMatch(text: string, pattern: RegExp): RegExpExecArray | undefined {
  return [...text.matchAll(pattern)].at(-1);
}
