import { expect } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { linesOf, makeUneven, repeatFile, type Truth, truthAt } from "../support/media.ts";
import { lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

function lacksElement(name: string): string | undefined {
  if (Bun.which("gst-inspect-1.0") === null) return "needs gst-launch-1.0";
  return Bun.spawnSync(["gst-inspect-1.0", "--exists", name]).success
    ? undefined
    : `needs ${name} of GStreamer`;
}

const TIMES = 3;
const LENGTH_SECONDS = TIMES * 90;
/** The percentages and speeds of each job that are compared. */
const PERCENTS = 6;
const SPEEDS = 3;

interface Program {
  readonly name: string;
  /** Why it cannot be tried here. */
  readonly lacks: string | undefined;
  /** A command line that processes the file and reports on stdout. */
  readonly command: (file: string, output: string) => string[];
  readonly flags: string[];
  /** Returns the media time in a report. */
  readonly reported: (line: string) => number | undefined;
  /** The longest time between two reports. */
  readonly maxGapMs: number;
  /** What it has read and not reported as processed. */
  readonly aheadSeconds: number;
}

/** Plays the file five times as fast as it is, with nearly no CPU. A report has whole seconds, rounded down. */
const GSTREAMER: Program = {
  name: "gstreamer",
  lacks: lacksElement("matroskademux"),
  command: (file) =>
    `gst-launch-1.0 filesrc location=${file} ! matroskademux ! video/x-h264 ! identity sleep-time=8000 ! progressreport update-freq=1 ! fakesink`.split(
      " ",
    ),
  flags: [],
  reported: (line) => {
    const seconds = /^progressreport0 \S+ (\d+) \/ \d+ seconds/.exec(line)?.[1];
    return seconds === undefined ? undefined : Number(seconds) + 0.5;
  },
  maxGapMs: 2500,
  aheadSeconds: 0,
};

/** A quota makes it last long enough. */
const HANDBRAKE: Program = {
  name: "handbrake",
  lacks: lacksLimits() ?? lacksCommand("HandBrakeCLI"),
  command: (file, output) =>
    `HandBrakeCLI -i ${file} -o ${output} --previews 2:0 -e x264 --encoder-preset ultrafast`.split(" "),
  flags: ["--cpu-quota", "12"],
  reported: (line) => {
    const percent = /^Encoding: task 1 of 1, (\d+\.\d+) %/.exec(line)?.[1];
    return percent === undefined ? undefined : (Number(percent) * LENGTH_SECONDS) / 100;
  },
  maxGapMs: 1000,
  aheadSeconds: 3,
};

/** HandBrakeCLI leaves a directory for temporary files behind when it is killed. */
const temporaryDirectory = () => ({
  TMP: sandbox().directory,
  TEMP: sandbox().directory,
  TMPDIR: sandbox().directory,
});

/** Starts a job that reports through a pipe, which ffrtmp never reads, and one that reports into a file. */
async function start({ name, command, flags, reported }: Program, file: string): Promise<Truth[]> {
  const truth: Truth[] = [];
  const log = openSync(sandbox().path(name), "w");
  const startJob = (jobId: string, stdout: number | "pipe") =>
    sandbox().startJob(jobId, flags, command(file, sandbox().path(`${jobId}.mp4`)), {
      stdout,
      env: temporaryDirectory(),
    });
  await startJob(`${name}-log`, log);
  closeSync(log);
  const { wrapper } = await startJob(`${name}-input`, "pipe");
  void (async () => {
    for await (const line of linesOf(wrapper.stdout as ReadableStream<Uint8Array>, /[\r\n]+/)) {
      const mediaSeconds = reported(line);
      if (mediaSeconds !== undefined) truth.push({ atMs: Date.now(), mediaSeconds });
    }
  })();
  return truth;
}

/** Compares the place in the input, mapped to time, with what the program says itself. */
async function compareInput(
  { name, maxGapMs, aheadSeconds }: Program,
  truth: readonly Truth[],
): Promise<void> {
  const stats = sandbox().start(["stats", "--json", "--interval", "1s", `${name}-input`]);
  let [percents, speeds] = [0, 0];
  for await (const line of linesOf(stats.stdout as ReadableStream<Uint8Array>)) {
    const { media, time } = JSON.parse(line);
    const atMs = Date.parse(time);
    // The report after this line is needed to know the truth at its time.
    await until(`${name} reports`, () => (truth.at(-1)?.atMs ?? 0) > atMs);
    const mediaSeconds = truthAt(truth, atMs, maxGapMs);
    if (mediaSeconds === undefined || media.percent_is_estimate || media.state !== "running") continue;
    expect(media.source).toBe("input");
    expect(media.length_seconds).toBeCloseTo(LENGTH_SECONDS, 0);
    const percent = (100 * mediaSeconds) / LENGTH_SECONDS;
    const figures = `${name}: ${media.percent} %, true ${percent}`;
    expect(media.percent, figures).toBeGreaterThan(percent - 2);
    expect(media.percent, figures).toBeLessThan(percent + 2 + (100 * aheadSeconds) / LENGTH_SECONDS);
    percents++;
    const earlier = truthAt(truth, atMs - 1000 * media.speed_over_seconds, maxGapMs);
    if (media.speed_over_seconds < 14.5 || earlier === undefined) continue;
    const speed = (mediaSeconds - earlier) / media.speed_over_seconds;
    expect(Math.abs(media.speed / speed - 1), `${name}: ${media.speed}×, true ${speed}`).toBeLessThan(0.05);
    speeds++;
    if (percents >= PERCENTS && speeds >= SPEEDS) break;
  }
  expect(percents).toBeGreaterThanOrEqual(PERCENTS);
  expect(speeds).toBeGreaterThanOrEqual(SPEEDS);
}

/** Compares the log with itself: what was read is between the reports before and after the reading. */
async function compareLog({ name, reported }: Program): Promise<void> {
  const last = async () => {
    const lines = (await Bun.file(sandbox().path(name)).text()).split(/[\r\n]+/);
    return lines.map(reported).findLast((seconds) => seconds !== undefined) ?? 0;
  };
  await until(`${name} has a report in its log`, async () => (await last()) > 2);
  const before = await last();
  const { stdout } = await sandbox().run(["stats", "--once", "--json", `${name}-log`]);
  const after = await last();
  const { media } = JSON.parse(stdout);
  expect(media.source).toBe("log");
  expect(media.length_seconds).toBeCloseTo(LENGTH_SECONDS, 0);
  // Half a second was added to whole seconds, and the true length differs a little from the round one.
  expect(media.media_seconds).toBeGreaterThan(before - 0.6);
  expect(media.media_seconds).toBeLessThan(after + 0.1);
  expect(media.percent).toBeCloseTo((100 * media.media_seconds) / media.length_seconds, 1);
}

const programs = [GSTREAMER, HANDBRAKE].filter(({ lacks }) => lacks === undefined);
for (const { lacks } of [GSTREAMER, HANDBRAKE]) if (lacks !== undefined) console.log(`not tried: ${lacks}`);
const mediaTest = testIf(
  lacksCommand("ffmpeg") ??
    lacksCommand("ffprobe") ??
    (programs.length === 0 ? "needs a program" : undefined),
);

mediaTest(
  "percent and speed of GStreamer and HandBrakeCLI are those that they report themselves",
  async () => {
    const file = repeatFile(sandbox(), makeUneven(sandbox(), "part.mkv"), TIMES, "u.mkv");
    const started = await Promise.all(
      programs.map(async (program) => ({ program, truth: await start(program, file) })),
    );
    await Promise.all(started.map(({ program, truth }) => compareInput(program, truth)));
    for (const program of programs) await compareLog(program);
  },
);
