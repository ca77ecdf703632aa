import { basename } from "node:path";

/** The options that limit the used part of an input or output: `-ss`, `-t` and `-to`, in seconds. */
export interface MediaRange {
  readonly startSeconds?: number;
  readonly durationSeconds?: number;
  readonly endSeconds?: number;
}

/** The words of an ffmpeg command line that say what it processes. */
export interface FfmpegArguments {
  readonly inputs: readonly (MediaRange & {
    readonly url: string;
    readonly format?: string;
    /** The speed at which it is read: 1 with `-re`, N with `-readrate N`. Absent: as fast as possible. */
    readonly readRate?: number;
  })[];
  /** Of the first output that has one of these options. */
  readonly output: MediaRange;
  /** An input is read more than once: its position says nothing about the end. */
  readonly isLooped: boolean;
  /** The value of `-progress`. */
  readonly progress?: string;
  /** The path of an HLS playlist that is written. */
  readonly playlist?: string;
}

/** Options before the name of a playlist that is not the one with the segments. */
const OTHER_PLAYLISTS = new Set(["-master_pl_name", "-hls_segment_filename", "-hls_base_url"]);

/** Returns `undefined` for a program that is not ffmpeg. */
export function parseFfmpegArguments(words: readonly string[]): FfmpegArguments | undefined {
  if (!/^ffmpeg(\d|[-._]|$)/.test(basename(words[0] ?? ""))) return undefined;
  const inputs: FfmpegArguments["inputs"][number][] = [];
  let range: { -readonly [Key in keyof MediaRange]: MediaRange[Key] } = {};
  let format: string | undefined;
  let readRate: number | undefined;
  let progress: string | undefined;
  let playlist: string | undefined;
  let isLooped = false;
  for (let index = 1; index < words.length; index++) {
    const [word, value] = [words[index] as string, words[index + 1]];
    const seconds = () => (value === undefined ? undefined : parseTime(value));
    if (!word.startsWith("-") && word.endsWith(".m3u8") && !OTHER_PLAYLISTS.has(words[index - 1] ?? ""))
      playlist ??= word.replace(/^file:/, "");
    else if (word === "-re") {
      readRate = 1;
      continue;
    } else if (value === undefined) continue;
    else if (word === "-ss") assign("startSeconds", seconds());
    else if (word === "-t") assign("durationSeconds", seconds());
    else if (word === "-to") assign("endSeconds", seconds());
    else if (word === "-f") format = value;
    else if (word === "-readrate") readRate = Number(value) > 0 ? Number(value) : undefined;
    else if (word === "-progress") progress = value;
    else if (word === "-stream_loop") isLooped ||= value !== "0";
    else if (word === "-i") {
      inputs.push({
        url: value,
        ...(format === undefined ? {} : { format }),
        ...(readRate === undefined ? {} : { readRate }),
        ...range,
      });
      range = {};
      format = undefined;
      readRate = undefined;
    } else continue;
    if (word.startsWith("-")) index++;
  }
  return {
    inputs,
    output: range,
    isLooped,
    ...(progress === undefined ? {} : { progress }),
    ...(playlist === undefined ? {} : { playlist }),
  };

  function assign(key: keyof MediaRange, value: number | undefined): void {
    if (value !== undefined) range[key] ??= value;
  }
}

const UNITS: Record<string, number> = { s: 1, ms: 1e-3, us: 1e-6 };

/** Parses a duration: `90`, `90.5`, `1500ms`, `01:30` or `00:01:30.500` (ffmpeg-utils(1)). Returns seconds. */
export function parseTime(text: string): number | undefined {
  const simple = /^(-?\d+(?:\.\d*)?)(s|ms|us)?$/.exec(text);
  if (simple) return Number(simple[1]) * (UNITS[simple[2] ?? "s"] as number);
  const parts = /^(-?)(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)$/.exec(text);
  if (!parts) return undefined;
  const [, sign, hours = "0", minutes, seconds] = parts;
  return (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
}

/**
 * Returns the length of what is put out, in seconds, from the duration of the input; `undefined`: it is not known. `-ss`
 * and `-to` of an output count in what its input gives.
 */
export function lengthOf(
  inputSeconds: number | undefined,
  input: MediaRange,
  output: MediaRange,
): number | undefined {
  const given = shorten(inputSeconds, input);
  return shorten(given, output);
}

function shorten(
  wholeSeconds: number | undefined,
  { startSeconds = 0, durationSeconds, endSeconds }: MediaRange,
): number | undefined {
  const known = [
    wholeSeconds === undefined ? undefined : wholeSeconds - startSeconds,
    // -t takes precedence over -to: ffmpeg(1).
    durationSeconds ?? (endSeconds === undefined ? undefined : endSeconds - startSeconds),
  ].filter((seconds) => seconds !== undefined);
  return known.length === 0 ? undefined : Math.max(0, Math.min(...known));
}
