import { basename } from "node:path";
import { parseFfmpegArguments } from "../media/ffmpegArguments.ts";

/** The pace that the input of a job sets. */
export interface Pace {
  /**
   * The speed that a live job must keep: 1, or less with a lower `-readrate`. `null`: nothing shows that the job is
   * live.
   */
  readonly targetSpeed: number | null;
  /**
   * `tcp`: its receive queue shows whether the job or the sender is the slower one. `file`: it is always there. `other`:
   * UDP, devices, pipes and programs that are not known, whose input cannot be seen.
   */
  readonly input: "tcp" | "file" | "other";
  /** It delays reading by itself, so that its receive queue is full. */
  readonly isPaced: boolean;
}

const UNKNOWN_PROGRAM: Pace = { targetSpeed: null, input: "other", isPaced: false };

/** Protocols of streams. A file is not sent over them, except over tcp: ffmpeg-protocols(1). */
const STREAM =
  /^(?:rtmp|rtmpt|rtmps|rtmpe|rtmpte|rtmpts|rtsp|rtsps|srt|udp|udplite|rtp|srtp|mmst|mmsh|tcp|rist|whip):/;
const STREAM_OVER_TCP = /^(?:rtmp|rtmpt|rtmps|rtmpe|rtmpte|rtmpts|rtsps|mmst|mmsh|tcp):/;
const HTTP = /^https?:/;
/** The same in the list of the tee muxer: `[f=flv]rtmp://a/b|[f=hls]c.m3u8`. */
const STREAMS_OF_TEE = /(?:^|\||\])(?:rtmps?|srt|udp|rtp|rtsp|tcp|rist|icecast):\/\//;
/** Capture devices of ffmpeg-devices(1) on Linux. */
const DEVICES = new Set(
  "alsa decklink dv1394 fbdev iec61883 jack kmsgrab libcdio libdc1394 ndi openal oss pulse sndio v4l2 video4linux2 x11grab xcbgrab".split(
    " ",
  ),
);
const DEVICE_FILE = /^\/dev\/(?:video|dv|snd|dri|fb)/;
/** Elements of GStreamer that read streams or devices. */
const LIVE_ELEMENTS =
  /^(?:rtmp2?src|rtspsrc|udpsrc|srtsrc|srtclientsrc|srtserversrc|tcp(?:client|server)src|ristsrc|v4l2src|alsasrc|pulsesrc|pipewiresrc|ximagesrc|decklink(?:video|audio)src|ndisrc)$/;
const TCP_ELEMENTS = /^(?:rtmp2?src|tcp(?:client|server)src)$/;

/** Returns the pace of a command line; `undefined`: it is of a program that is neither ffmpeg nor gst-launch. */
export function paceOf(words: readonly string[]): Pace | undefined {
  if (/^gst-launch(-|$)/.test(basename(words[0] ?? ""))) return paceOfPipeline(words);
  const ffmpeg = parseFfmpegArguments(words);
  if (ffmpeg === undefined) return undefined;
  const sendsStream = words.some((word) => STREAMS_OF_TEE.test(word));
  const readRates = ffmpeg.inputs.flatMap(({ readRate }) => readRate ?? []);
  const isLive = ffmpeg.inputs.some(
    ({ url, format = "" }) =>
      STREAM.test(url) ||
      DEVICES.has(format) ||
      DEVICE_FILE.test(url) ||
      // A download that is transcoded, and a pipe from any program, have no pace. One that becomes a stream has.
      (sendsStream && (HTTP.test(url) || /^(?:-|pipe:)/.test(url))),
  );
  const isRtspOverTcp = words.some((word, at) => word === "-rtsp_transport" && words[at + 1] === "tcp");
  const inputs = ffmpeg.inputs.map(({ url, format = "" }): Pace["input"] => {
    if (STREAM_OVER_TCP.test(url) || HTTP.test(url) || (isRtspOverTcp && /^rtsp:/.test(url))) return "tcp";
    const isOther = STREAM.test(url) || DEVICES.has(format) || /^(?:-|pipe:|fd:|\/dev\/)/.test(url);
    return isOther ? "other" : "file";
  });
  return {
    targetSpeed: isLive ? 1 : readRates.length === 0 ? null : Math.min(1, ...readRates),
    input: inputOfAll(inputs),
    isPaced: readRates.length > 0,
  };
}

function paceOfPipeline(words: readonly string[]): Pace {
  return {
    targetSpeed: words.some((word) => LIVE_ELEMENTS.test(word)) ? 1 : null,
    input: words.some((word) => TCP_ELEMENTS.test(word)) ? "tcp" : "other",
    isPaced: false,
  };
}

/** Returns the pace of several processes of one job: a live one makes it live. */
export function paceOfAll(paces: readonly Pace[]): Pace {
  const targets = paces.flatMap(({ targetSpeed }) => targetSpeed ?? []);
  if (paces.length === 0) return UNKNOWN_PROGRAM;
  return {
    targetSpeed: targets.length === 0 ? null : Math.min(...targets),
    input: inputOfAll(paces.map(({ input }) => input)),
    isPaced: paces.some(({ isPaced }) => isPaced),
  };
}

function inputOfAll(inputs: readonly Pace["input"][]): Pace["input"] {
  return (["other", "tcp"] as const).find((each) => inputs.includes(each)) ?? "file";
}

/** Returns the pace with the operator's word for what the job is for, which says more than its command line. */
export function paceByIntent(pace: Pace, intent: string | null): Pace {
  if (intent === "live") return { ...pace, targetSpeed: pace.targetSpeed ?? 1 };
  if (intent === "batch" || intent === "best-effort") return { ...pace, targetSpeed: null };
  return pace;
}
