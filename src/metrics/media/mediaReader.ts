import type { Host } from "../../linux/host.ts";
import type { FileText, OpenFile } from "../../linux/proc/openFiles.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { Lengths } from "./lengths.ts";
import { FileMaps } from "./probe.ts";
import { remainingSecondsOf } from "./remaining.ts";
import {
  addedSeconds,
  type Playlist,
  parseLog,
  parsePlaylist,
  parseProgress,
  type Report,
} from "./reports.ts";
import { findSource, type MediaSource, SOURCES, type Source } from "./sources.ts";
import { type Speed, SpeedMeter } from "./speed.ts";

/** The interval at which a better source is looked for. A job opens its files in its first seconds. */
const FIND_INTERVAL_MS = 10_000;
const FIRST_FIND_INTERVAL_MS = 1000;
/** The processes of a job that are searched for sources. */
const MAX_PROCESSES = 32;
/** A job whose media time has not changed for this long is stuck. */
const STUCK_AFTER_MS = 120_000;
/**
 * ffmpeg reads files in blocks of 32 KiB (IO_BUFFER_SIZE). When it reads the next one, it has processed all before; on
 * average half a block is left.
 */
const BLOCK_BYTES = 32 * 1024;
/** 100 % is the end of the process. */
const MAX_PERCENT = 99;
/** A report that is older than two intervals is not the present one. */
const MIN_REPORT_INTERVAL_MS = 1000;
/** The speed of a playlist is that of this many segments. */
const SEGMENTS = 4;
/** The speed of a program that reports in steps, as whole seconds, is that of so many of them: 3 % wrong at most. */
const STEPS = 30;
/** HandBrakeCLI prints hundredths of a percent. */
const PERCENT_STEPS = 10_000;

/** The progress of a job in its media. `null` is unknown. */
export interface JobMedia {
  readonly source: MediaSource;
  /** Media time that the job has processed. */
  readonly mediaSeconds: number | null;
  /** Video frames that ffmpeg has put out, and that it has dropped, where it reports them. */
  readonly frames: number | null;
  readonly droppedFrames: number | null;
  /** Media time of the whole. `null` where there is no end, too. */
  readonly lengthSeconds: number | null;
  /** 0 to 99: the rest is the end of the process. */
  readonly percent: number | null;
  /** The percentage is the place in the file, which is not proportional to time, or a part of the playlist was not seen. */
  readonly isEstimate: boolean;
  readonly speed: Speed | null;
  readonly remainingSeconds: number | null;
  /** `finishing`: all input is processed. `stuck`: no progress for 2 min. */
  readonly state: "running" | "finishing" | "stuck" | null;
}

export const NO_MEDIA: JobMedia = {
  source: "none",
  mediaSeconds: null,
  frames: null,
  droppedFrames: null,
  lengthSeconds: null,
  percent: null,
  isEstimate: false,
  speed: null,
  remainingSeconds: null,
  state: null,
};

/** A job to read, by any key that stays the same. */
export interface MediaSubject {
  readonly key: string;
  readonly pids: readonly number[];
}

/** A reading of a source. */
interface Reading {
  /** Media time for the speed, from any zero. */
  readonly seconds: number | null;
  readonly mediaSeconds: number | null;
  readonly frames?: number | undefined;
  readonly droppedFrames?: number | undefined;
  readonly atBootMs: number;
  readonly lengthSeconds: number | null;
  readonly percent: number | null;
  readonly isEstimate: boolean;
  readonly isAtEnd: boolean;
  readonly windowMs?: number;
}

const AT_START = { bytes: 0, changedBootMs: 0, rises: 0, hasWrapped: false };

/** A job between two readings. */
class Known {
  source: Source | undefined;
  foundAtMs = Number.NEGATIVE_INFINITY;
  /** When it was read first. */
  readonly seenAtMs: number;
  readonly meter = new SpeedMeter();
  /** The last report: when it was written, and the longest time between two of them. */
  report: { writtenBootMs: number; intervalMs: number } | undefined;
  playlist: { last: Playlist; seconds: number; isWhole: boolean } | undefined;
  /** The position in the input, how often in a row it has risen, and whether it went back to the start. */
  position = AT_START;

  constructor(seenAtMs: number) {
    this.seenAtMs = seenAtMs;
  }
}

/**
 * Reads the media time of jobs from what they write and read anyway: see docs/observing.md. Opens regular files only, in a
 * thread, because their file systems may not answer.
 */
export class MediaReader {
  readonly #host: Host;
  readonly #slow: SlowReader;
  readonly #lengths: Lengths;
  readonly #known = new Map<string, Known>();

  /** `slow`: its threads are shared with other readers. */
  constructor(host: Host, { probes, slow = new SlowReader(host) }: { probes: boolean; slow?: SlowReader }) {
    this.#host = host;
    this.#slow = slow;
    this.#lengths = new Lengths(this.#slow, probes ? new FileMaps() : undefined);
  }

  /** Reads these jobs, and keeps what is known of the others. */
  async read(jobs: readonly MediaSubject[]): Promise<Map<string, JobMedia>> {
    const read = jobs.map(async (job) => {
      const own = this.#known.get(job.key) ?? new Known(this.#host.bootNow());
      this.#known.set(job.key, own);
      return [job.key, await this.#readJob(job, own)] as const;
    });
    return new Map(await Promise.all(read));
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#known.delete(key);
  }

  forgetExcept(keys: ReadonlySet<string>): void {
    this.forget([...this.#known.keys()].filter((key) => !keys.has(key)));
  }

  /** Resolves when the files are mapped that the last reading asked for. */
  settle(): Promise<void> {
    return this.#lengths.settle();
  }

  close(): void {
    this.#slow.stop();
  }

  async #readJob(job: MediaSubject, own: Known): Promise<JobMedia> {
    const nowMs = this.#host.bootNow();
    const isYoung = own.source === undefined && nowMs - own.seenAtMs < FIND_INTERVAL_MS;
    if (nowMs - own.foundAtMs >= (isYoung ? FIRST_FIND_INTERVAL_MS : FIND_INTERVAL_MS))
      await this.#find(job, own);
    let reading = own.source && (await this.#readSource(own, own.source));
    if (own.source && reading === undefined) {
      await this.#find(job, own);
      reading = own.source && (await this.#readSource(own, own.source));
    }
    if (own.source === undefined || reading === undefined) return NO_MEDIA;
    // A busy machine, or a file system that does not answer: the next reading continues with the same source.
    if (reading === "late") return { ...NO_MEDIA, source: own.source.kind };
    const { seconds, mediaSeconds, lengthSeconds, isEstimate, windowMs } = reading;
    if (seconds !== null) own.meter.add({ atBootMs: reading.atBootMs, mediaSeconds: seconds }, windowMs);
    const { speed } = own.meter;
    const isStill = own.meter.stillSinceMs(this.#host.bootNow()) >= STUCK_AFTER_MS;
    const isFinishing = reading.isAtEnd || (reading.percent !== null && reading.percent >= MAX_PERCENT);
    return {
      source: own.source.kind,
      mediaSeconds,
      frames: reading.frames ?? null,
      droppedFrames: reading.droppedFrames ?? null,
      lengthSeconds,
      percent: reading.percent === null ? null : Math.min(MAX_PERCENT, reading.percent),
      isEstimate,
      speed,
      remainingSeconds: remainingSecondsOf(reading, speed),
      state: isFinishing ? "finishing" : isStill ? "stuck" : "running",
    };
  }

  /** Looks for the best source among the processes of a job. */
  async #find(job: MediaSubject, own: Known): Promise<void> {
    const found = await Promise.all(
      job.pids.slice(0, MAX_PROCESSES).map((pid) => findSource(this.#host, this.#slow, pid)),
    );
    const rank = ({ kind }: Source) => SOURCES.indexOf(kind);
    const [best] = found
      .filter((source) => source !== undefined && source !== "late")
      .sort((a, b) => rank(a) - rank(b));
    if (best === undefined && found.includes("late")) return;
    own.foundAtMs = this.#host.bootNow();
    own.position = isSameFile(best, own.source) ? own.position : AT_START;
    if (!isSameSource(best, own.source)) {
      own.meter.reset();
      own.report = undefined;
      own.playlist = undefined;
    }
    own.source = best;
  }

  async #readSource(own: Known, source: Source): Promise<Reading | "late" | undefined> {
    const answer = await this.#slow.read(source.read);
    if (answer === undefined || answer === "late") return answer;
    if (source.kind === "input") return this.#readInput(own, source, answer as OpenFile);
    const file = answer as FileText;
    if (source.kind === "playlist") return this.#readPlaylist(own, source, file);
    const report = source.kind === "progress" ? parseProgress(file.text) : parseLog(file.text);
    return report && this.#readReport(own, source, file, report);
  }

  #readReport(own: Known, source: Source, file: FileText, report: Report): Reading {
    const lengthSeconds = report.lengthSeconds ?? this.#lengths.lengthOf(source) ?? null;
    const { frames, droppedFrames } = report;
    const reached = report.percent !== undefined && lengthSeconds && (report.percent / 100) * lengthSeconds;
    const mediaSeconds = report.mediaSeconds ?? (reached && !report.isOneOfPasses ? reached : null);
    const reportedPercent = report.percent ?? null;
    const stepSeconds = report.stepSeconds ?? (report.percent ? (lengthSeconds ?? 0) / PERCENT_STEPS : 0);
    return {
      seconds: mediaSeconds,
      mediaSeconds,
      frames,
      droppedFrames,
      atBootMs: this.#timeOf(own, this.#bootTimeOf(file), MIN_REPORT_INTERVAL_MS),
      lengthSeconds,
      percent:
        reportedPercent ??
        (lengthSeconds && mediaSeconds !== null ? Math.min(100, (100 * mediaSeconds) / lengthSeconds) : null),
      isEstimate: false,
      isAtEnd: report.isAtEnd,
      windowMs: 1000 * STEPS * stepSeconds,
    };
  }

  #readPlaylist(own: Known, source: Source, file: FileText): Reading | undefined {
    const playlist = parsePlaylist(file.text);
    if (playlist === undefined) return undefined;
    const before = own.playlist;
    const added = before && addedSeconds(before.last, playlist);
    const listed = playlist.segmentSeconds.reduce((total, each) => total + each, 0);
    // Segments that have left the playlist were as long as those in it, or nearly.
    const left = (playlist.firstSegment * listed) / playlist.segmentSeconds.length;
    own.playlist =
      before === undefined || added === undefined
        ? { last: playlist, seconds: left + listed, isWhole: playlist.firstSegment === 0 }
        : { last: playlist, seconds: before.seconds + added, isWhole: before.isWhole };
    const { seconds, isWhole } = own.playlist;
    const segmentMs = 1000 * Math.max(...playlist.segmentSeconds);
    const lengthSeconds = this.#lengths.lengthOf(source) ?? null;
    return {
      seconds,
      mediaSeconds: isWhole ? seconds : null,
      atBootMs: this.#timeOf(own, this.#bootTimeOf(file), segmentMs),
      lengthSeconds,
      percent: lengthSeconds ? Math.min(100, (100 * seconds) / lengthSeconds) : null,
      isEstimate: !isWhole,
      isAtEnd: playlist.isAtEnd,
      windowMs: SEGMENTS * segmentMs,
    };
  }

  #readInput(own: Known, source: Source, file: OpenFile): Reading | undefined {
    if (source.input?.identity !== file.identity) return undefined;
    const { position: bytes, sizeBytes } = file;
    const before = own.position;
    const hasWrapped = before.rises >= 3 && bytes < before.bytes - sizeBytes / 4;
    if (hasWrapped) own.meter.reset();
    const nowBootMs = this.#host.bootNow();
    own.position = {
      bytes,
      changedBootMs: bytes === before.bytes ? before.changedBootMs : nowBootMs,
      rises: bytes > before.bytes ? before.rises + 1 : bytes < before.bytes ? 0 : before.rises,
      hasWrapped: before.hasWrapped || hasWrapped,
    };
    const isAtEnd = bytes >= sizeBytes;
    const isLast = source.parts === undefined || source.parts.at(-1) === source.input.path;
    const behind = (blocks: number) => (isAtEnd ? sizeBytes : Math.max(0, bytes - blocks * BLOCK_BYTES));
    const place = behind(0.5);
    const map = this.#lengths.mapOf(source);
    const earlierSeconds = this.#lengths.secondsBefore(source);
    const secondsAt = (bytesAt: number) =>
      map === undefined || earlierSeconds === undefined ? null : earlierSeconds + map.secondsAt(bytesAt);
    const startSeconds = source.range.startSeconds ?? 0;
    const atPlace = secondsAt(place);
    const mediaSeconds = atPlace === null ? null : Math.max(0, atPlace - startSeconds);
    const lengthSeconds = (own.position.hasWrapped ? undefined : this.#lengths.lengthOf(source)) ?? null;
    const isEndless = own.position.hasWrapped || source.ffmpeg?.isLooped === true;
    const byTime =
      mediaSeconds === null || !lengthSeconds ? null : Math.min(100, (100 * mediaSeconds) / lengthSeconds);
    // The place in one of several files is not that in all.
    const byPlace = source.parts ? null : (100 * place) / sizeBytes;
    return {
      seconds: secondsAt(behind(1)),
      mediaSeconds: isEndless ? null : mediaSeconds,
      atBootMs: this.#timeOf(own, own.position.changedBootMs, MIN_REPORT_INTERVAL_MS),
      lengthSeconds,
      percent: isEndless ? null : (byTime ?? byPlace),
      isEstimate: !isEndless && (byTime === null ? byPlace !== null : map?.isLinear === true),
      isAtEnd: isAtEnd && !isEndless && isLast,
    };
  }

  /**
   * Returns when a report was written or a position was new, CLOCK_BOOTTIME. While a program writes none, its last one is as old as two intervals
   * between reports at most: it stands still.
   */
  #timeOf(own: Known, writtenBootMs: number, minIntervalMs: number): number {
    const nowBootMs = this.#host.bootNow();
    const { report } = own;
    const gapMs = report === undefined ? 0 : writtenBootMs - report.writtenBootMs;
    const intervalMs = Math.max(report?.intervalMs ?? minIntervalMs, minIntervalMs);
    own.report = {
      writtenBootMs,
      intervalMs: gapMs > 0 ? Math.max(minIntervalMs, Math.min(gapMs, 4 * intervalMs)) : intervalMs,
    };
    return Math.max(writtenBootMs, nowBootMs - 2 * own.report.intervalMs);
  }

  #bootTimeOf({ modifiedMs }: FileText): number {
    const nowBootMs = this.#host.bootNow();
    return Math.min(nowBootMs, modifiedMs - this.#host.now() + nowBootMs);
  }
}

function isSameFile(a: Source | undefined, b: Source | undefined): boolean {
  return JSON.stringify(a?.read) === JSON.stringify(b?.read) && a?.input?.identity === b?.input?.identity;
}

/** Several files of one list are one source. */
function isSameSource(a: Source | undefined, b: Source | undefined): boolean {
  if (a?.kind === "input" && b?.kind === "input" && a.parts && b.parts)
    return a.process.pid === b.process.pid && a.parts.join("\n") === b.parts.join("\n");
  return isSameFile(a, b);
}
