import { expect } from "bun:test";
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { LENGTH_SECONDS, linesOf, makeUneven, type Truth, truthAt } from "../support/media.ts";
import { FFRTMP, lacksCommand, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const mediaTest = testIf(lacksCommand("ffmpeg") ?? lacksCommand("ffprobe"));

const rootTest = testIf(lacksRoot() ?? lacksCommand("ffmpeg") ?? lacksCommand("setpriv"));

/** A transcode with the speed of a CPU that is not the limit. `options`: of the input. */
const transcode = (input: string, { rate = 2, options = "" } = {}): string[] =>
  `ffmpeg -nostdin -v error -readrate ${rate} ${options} -i ${input} -vf scale=32:32 -c:v mpeg2video -c:a mp2 -f null -`
    .split(" ")
    .filter(Boolean);

// biome-ignore lint/suspicious/noExplicitAny: a line of `stats --json`
type Line = any;

async function once(jobId: string, ...flags: string[]): Promise<Line> {
  const { code, stdout, stderr } = await sandbox().run(["stats", "--once", "--json", ...flags, jobId]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout);
}

/** Starts a job whose own reports arrive through a pipe, which ffrtmp never reads. */
async function startReporting(jobId: string, command: string[]): Promise<Truth[]> {
  const truth: Truth[] = [];
  const [ffmpeg = "", ...rest] = command;
  const { wrapper } = await sandbox().startJob(jobId, [], [ffmpeg, "-progress", "pipe:1", ...rest], {
    stdout: "pipe",
  });
  void (async () => {
    for await (const line of linesOf(wrapper.stdout as ReadableStream<Uint8Array>)) {
      const usec = /^out_time_us=(\d+)$/.exec(line)?.[1];
      if (usec !== undefined) truth.push({ atMs: Date.now(), mediaSeconds: Number(usec) / 1e6 });
    }
  })();
  return truth;
}

mediaTest(
  "place in the input, mapped to time, gives percent and speed as ffmpeg reports them itself",
  async () => {
    const truths = new Map<string, Truth[]>();
    for (const name of ["mp4", "mkv", "ts"])
      truths.set(name, await startReporting(name, transcode(makeUneven(sandbox(), `u.${name}`))));
    const cut = transcode(sandbox().path("u.mkv"), { options: "-ss 20 -to 80" });
    truths.set("cut", await startReporting("cut", cut));
    const child = sandbox().start(["stats", "--json", "--interval", "1s", ...truths.keys()]);
    const compared = new Map([...truths.keys()].map((name) => [name, { percents: 0, speeds: 0 }]));
    const lines: Line[] = [];
    for await (const line of linesOf(child.stdout as ReadableStream<Uint8Array>))
      lines.push(JSON.parse(line));
    for (const { job_id: name, media, time } of lines) {
      const truth = truths.get(name) as Truth[];
      const atMs = Date.parse(time);
      const mediaSeconds = truthAt(truth, atMs);
      // The map is made while the first line is printed. At the end, what was read waits in the encoder.
      if (mediaSeconds === undefined || media.percent_is_estimate || media.state !== "running") continue;
      expect(media.source).toBe("input");
      const percent = (100 * mediaSeconds) / (name === "cut" ? 60 : LENGTH_SECONDS);
      expect(Math.abs(media.percent - percent), `${name}: ${media.percent} %, true ${percent}`).toBeLessThan(
        2,
      );
      (compared.get(name) as { percents: number }).percents++;
      if (media.speed_over_seconds === null || media.speed_over_seconds < 14.5) continue;
      const earlier = truthAt(truth, atMs - 1000 * media.speed_over_seconds);
      if (earlier === undefined) continue;
      const speed = (mediaSeconds - earlier) / media.speed_over_seconds;
      expect(Math.abs(media.speed / speed - 1), `${name}: ${media.speed}×, true ${speed}`).toBeLessThan(0.05);
      (compared.get(name) as { speeds: number }).speeds++;
    }
    for (const counts of compared.values()) {
      expect(counts.percents).toBeGreaterThan(5);
      expect(counts.speeds).toBeGreaterThan(2);
    }
  },
);

mediaTest("without ffprobe the place in the file is an estimate, and there is no time", async () => {
  const file = makeUneven(sandbox(), "u.mkv");
  await sandbox().startJob("linear", [], transcode(file));
  await until("it reads", async () => (await once("linear", "--no-probe")).media.percent > 0);
  expect((await once("linear", "--no-probe")).media).toMatchObject({
    source: "input",
    media_seconds: null,
    length_seconds: null,
    percent_is_estimate: true,
    speed: null,
  });
  const { stdout } = await sandbox().run(["stats", "--once", "--no-probe", "linear"]);
  expect(stdout).toMatch(/ ~\d+ % /);
  expect((await once("linear")).media).toMatchObject({ length_seconds: expect.closeTo(LENGTH_SECONDS, 0) });
});

mediaTest("progress, log and playlist are used where they are regular files, in this order", async () => {
  const file = makeUneven(sandbox(), "u.mp4");
  const [ffmpeg = "", ...rest] = transcode(file, { rate: 1, options: "-ss 10 -t 60" });
  const progress = sandbox().path("progress");
  await sandbox().startJob("progress", [], [ffmpeg, "-progress", progress, ...rest]);
  const logFile = sandbox().path("log");
  const log = openSync(logFile, "w");
  await sandbox().startJob("log", [], [ffmpeg, "-stats", ...rest], { stderr: log });
  closeSync(log);
  const directory = sandbox().path("hls");
  mkdirSync(directory);
  const hls = [
    ...rest.slice(0, -3),
    "-f",
    "hls",
    "-hls_time",
    "2",
    "-hls_list_size",
    "0",
    `${directory}/x.m3u8`,
  ];
  await sandbox().startJob("playlist", [], [ffmpeg, ...hls]);
  await sandbox().startJob("none", [], ["sleep", "600"]);
  for (const source of ["progress", "log", "playlist"]) {
    await until(`${source} is read`, async () => (await once(source)).media.source === source);
    await until(`${source} rises`, async () => (await once(source)).media.media_seconds > 3);
    const { media } = await once(source);
    expect({ source, length: media.length_seconds }).toEqual({ source, length: 60 });
    expect(media.percent).toBeCloseTo((100 * media.media_seconds) / 60, 1);
  }
  const written = () => {
    const blocks = [...readFileSync(progress, "utf8").matchAll(/^out_time_us=(\d+)\n/gm)];
    return Math.floor(Number(blocks.at(-1)?.[1]) / 1e4) / 100;
  };
  const before = written();
  const { media } = await once("progress");
  expect(media.media_seconds).toBeGreaterThanOrEqual(before);
  expect(media.media_seconds).toBeLessThanOrEqual(written() + 0.01);
  expect((await once("none")).media).toMatchObject({ source: "none", state: null, percent: null });
});

mediaTest("the files of a list are added up", async () => {
  const [first = "", second = ""] = ["a.mkv", "b.mkv"].map((name) => makeUneven(sandbox(), name));
  const list = sandbox().path("list.txt");
  writeFileSync(list, `file '${first}'\nfile ${second.slice(second.lastIndexOf("/") + 1)}\n`);
  const truth = await startReporting("list", transcode(list, { rate: 5, options: "-f concat -safe 0" }));
  await until(
    "the second file is read",
    async () => (await once("list")).media.media_seconds > LENGTH_SECONDS + 5,
  );
  const line = await once("list");
  const { media } = line;
  await until("ffmpeg reports again", () => (truth.at(-1)?.atMs ?? 0) > Date.parse(line.time));
  const mediaSeconds = truthAt(truth, Date.parse(line.time));
  expect(media.length_seconds).toBeCloseTo(2 * LENGTH_SECONDS, 0);
  if (mediaSeconds === undefined) throw new Error("this machine is too busy to compare media times");
  expect(Math.abs(media.percent - (50 * mediaSeconds) / LENGTH_SECONDS)).toBeLessThan(3);
});

mediaTest("an input that is read again and again has no percentage", async () => {
  const file = makeUneven(sandbox(), "u.mkv");
  await sandbox().startJob("loop", [], transcode(file, { options: "-stream_loop -1" }));
  await until("it reads", async () => (await once("loop")).media.source === "input");
  expect((await once("loop")).media).toMatchObject({
    percent: null,
    length_seconds: null,
    media_seconds: null,
  });
});

rootTest("ffprobe runs as the user of the job, and never as root for the file of another user", async () => {
  const nobody = 65534;
  chmodSync(sandbox().directory, 0o755);
  const uids = sandbox().path("uids");
  writeFileSync(uids, "");
  chmodSync(uids, 0o666);
  const programs = sandbox().path("bin");
  mkdirSync(programs);
  writeFileSync(`${programs}/ffprobe`, `#!/bin/sh\necho $(id -u) $(id -G) >>${uids}; exit 1\n`, {
    mode: 0o755,
  });
  const cases = [
    { jobId: "root", owner: 0, as: [], expected: "0 0" },
    { jobId: "root-of-another", owner: nobody, as: [], expected: "65534 65534" },
    {
      jobId: "user",
      owner: nobody,
      as: ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"],
      expected: "65534 65534",
    },
  ];
  const file = makeUneven(sandbox(), "u.mkv");
  for (const { jobId, owner, as, expected } of cases) {
    chownSync(file, owner, owner);
    chmodSync(file, 0o600);
    const { pid, wrapper } = await sandbox().startJob(jobId, [], [...as, ...transcode(file)]);
    const stats = ["stats", "--once", "--json", jobId];
    const env = { PATH: `${programs}:${process.env["PATH"]}` };
    await until("the file is read", async () => (await once(jobId, "--no-probe")).media.source === "input");
    writeFileSync(uids, "");
    const { stdout } = await sandbox().run(stats, { env });
    expect(JSON.parse(stdout).media).toMatchObject({ source: "input", percent_is_estimate: true });
    expect({ jobId, by: readFileSync(uids, "utf8").trim() }).toEqual({ jobId, by: expected });
    process.kill(pid);
    await wrapper.exited;
  }
});

mediaTest("no FIFO, pipe or terminal of a job is opened", async () => {
  const fifo = sandbox().path("fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  const script = sandbox().path("script");
  // Opened for reading and writing, so that it does not wait for a reader; then 3 is the FIFO under a regular name.
  writeFileSync(script, `exec 3<>${fifo}; exec -a ffmpeg sleep 600`);
  await sandbox().startJob("fifo", [], ["bash", script]);
  const trace = sandbox().path("trace");
  const command = ["strace", "-f", "-e", "trace=openat,open", "-o", trace];
  if (Bun.which("strace") === null) return void (await once("fifo"));
  const child = sandbox().spawn([...command, ...sandboxStats("fifo")]);
  expect(await child.exited).toBe(0);
  const opened = readFileSync(trace, "utf8");
  expect(opened).toContain("/proc/");
  expect(opened).not.toContain(fifo);
  expect(opened).not.toMatch(/\/proc\/\d+\/(mem|environ|syscall|stack|wchan|fd\/\d)"/);
});

function sandboxStats(jobId: string): string[] {
  return [FFRTMP, "stats", "--once", jobId];
}
