import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listThreadsBelow } from "../src/linux/cgroup/members.ts";
import { realCgroupFs } from "../src/linux/cgroupFs.ts";
import { realHost } from "../src/linux/host.ts";
import { readProcessUse } from "../src/linux/proc/resources.ts";
import { visible } from "../src/linux/proc/table.ts";
import { readCpus } from "../src/metrics/machine.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { cpuHierarchy, governedHierarchies } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes } from "./lib/processes.ts";
import { markdownTable, target } from "./lib/table.ts";

/** Streams take two thirds of two CPUs, and encodes all that they get. */
const STREAMS = 4;
const ENCODES = 4;
/** So that other work on the machine takes little of what is measured. */
const SHARES = 2048;
const LATE_SECONDS = 0.2;
const SAMPLE_MS = 100;
const MIN_IN_TIME = 0.995;
const MAX_IDLE = 0.05;
/** How long streams that were late before they were governed may take to catch up, and for how long they must be in time then. */
const SETTLE_SECONDS = 15;
const IN_TIME_SECONDS = 1;
const MANY_THREADS = 32;

const TREES = ["a cgroup per job, siblings", "all in one cgroup", "each batch job in a container"] as const;
type Tree = (typeof TREES)[number];

const LIVE_ARGV = "*bench-live*";
const BATCH_ARGV = "*bench-batch*";
const WAYS: Record<string, string | undefined> = {
  nothing: undefined,
  "live governed, no limits": `rules: [{name: live, match: {command: ffmpeg, argv: "${LIVE_ARGV}"}}, {name: other, match: {command: ffmpeg}, ignore: true}]`,
  intents: `intents: {}
rules:
  - {name: live, match: {command: ffmpeg, argv: "${LIVE_ARGV}"}, intent: live}
  - {name: batch, match: {command: ffmpeg, argv: "${BATCH_ARGV}"}, intent: batch}
  - {name: other, match: {command: ffmpeg}, ignore: true}
`,
};

interface Case {
  tree: Tree;
  way: string;
  /** Of each batch job. By default, as many as x264 wants. */
  threads?: number;
}

const CASES: readonly Case[] = TREES.flatMap((tree): Case[] => [
  ...Object.keys(WAYS).map((way) => ({ tree, way })),
  ...["nothing", "intents"].map((way) => ({ tree, way, threads: MANY_THREADS })),
]);

/** Measures how late live streams are beside batch, and what batch gets. On cgroup v1. */
export const intent: Benchmark = {
  title: "Live streams beside batch",
  needs: { ffmpeg: "ffmpeg" },
  async run({ quick }) {
    const measured: (Case & Measured)[] = [];
    for (const each of CASES) {
      const result = await measure(each, quick ? 4 : 20);
      progress(`${each.tree}, ${nameOf(each)}: ${percent(result.ok)} %`);
      measured.push({ ...each, ...result });
    }
    const rows = measured.map((each) => [
      ...[each.tree, nameOf(each), percent(each.ok), each.worst.toFixed(2), each.frames.toFixed(1)],
      ...[each.cores.live, each.cores.batch, each.cores.others].map((cores) => cores.toFixed(2)),
      ...[percent(each.idle), (each.frames / each.cores.batch).toFixed(1)],
    ]);
    const headings = [
      ...["tree", "governed by", `at most ${LATE_SECONDS} s late, % of the time`],
      ...["latest, s", "batch, frames/s"],
      ...["cores: streams", "batch", "others", "idle, %", "batch, frames per core and s"],
    ];
    return [
      markdownTable(headings, rows),
      TREES.flatMap((tree) => targetsOf(tree, measured)).join("\n"),
    ].join("\n\n");
  },
};

function nameOf({ way, threads }: Case): string {
  return threads === undefined ? way : `${way}, batch of ${threads} threads`;
}

const percent = (part: number): string => (100 * part).toFixed(1);

function targetsOf(tree: Tree, measured: readonly (Case & Measured)[]): string[] {
  const bestOf = (of: readonly Measured[]) => Math.max(...of.map(({ frames }) => frames));
  return measured
    .filter((each) => each.tree === tree && each.way === "intents")
    .flatMap((each) => {
      // An encode of many threads takes more CPU time for a frame, however it is governed.
      const rows = measured.filter((other) => other.tree === tree && other.threads === each.threads);
      const best = bestOf(rows);
      // Where streams are late, batch has what they lack.
      const inTime = rows.filter(({ ok }) => ok >= MIN_IN_TIME);
      const bestInTime = inTime.length === 0 ? undefined : bestOf(inTime);
      return [
        target(
          `${tree}, ${nameOf(each)}: in time for at least 99.5 %: ${percent(each.ok)}`,
          each.ok >= MIN_IN_TIME,
        ),
        target(
          `${tree}, ${nameOf(each)}: at least 90 % of the best batch beside streams that are in time: ${bestInTime === undefined ? "none are" : percent(each.frames / bestInTime)}`,
          bestInTime !== undefined && each.frames >= 0.9 * bestInTime,
        ),
        target(
          `${tree}, ${nameOf(each)}: at most 5 % of the CPUs idle: ${percent(each.idle)}`,
          each.idle <= MAX_IDLE,
        ),
        target(
          `${tree}, ${nameOf(each)}: at least 90 % of the best batch: ${percent(each.frames / best)}`,
          each.frames >= 0.9 * best,
        ),
      ];
    });
}

interface Workload {
  pid: number;
  /** The file of its `-progress`. */
  report: string;
}

interface Measured {
  /** The part of the time in which the worst stream was at most LATE_SECONDS late. */
  ok: number;
  worst: number;
  /** Frames of all batch jobs per second. */
  frames: number;
  /** The CPU time per time. All other processes of the machine are others, this one and ffrtmp included. */
  cores: { live: number; batch: number; others: number };
  /** The part of all CPUs that was idle. */
  idle: number;
}

async function measure({ tree, way, threads }: Case, seconds: number): Promise<Measured> {
  const policy = WAYS[way];
  const root = join(cpuHierarchy(governedHierarchies()).directory, `ffrtmp-bench-intent-${process.pid}`);
  using box = new FfrtmpUnderTest();
  mkdirSync(root);
  writeFileSync(`${root}/cpu.shares`, String(SHARES));
  await using daemons = new Processes();
  try {
    await using processes = new Processes();
    const start = (name: string, hasOwn: boolean, args: string[]): Workload => {
      const group = hasOwn ? `${root}/${name}` : root;
      if (hasOwn) mkdirSync(group);
      const report = join(box.directory, name);
      const words = [
        "ffmpeg",
        "-nostdin",
        "-v",
        "error",
        "-stats_period",
        "0.1",
        "-progress",
        report,
        ...args,
      ];
      const script = 'echo $$ >"$0"/tasks; exec "$@"';
      const { pid } = processes.start(["sh", "-c", script, group, ...words, "-f", "null", "-"]);
      return { pid, report };
    };
    const source = (size: string) => ["-f", "lavfi", "-i", `testsrc2=s=${size}:r=25`, "-c:v", "libx264"];
    const streams = Array.from({ length: STREAMS }, (_, index) =>
      start(`live${index}`, tree === "a cgroup per job, siblings", [
        ...["-re", ...source("1280x720"), "-preset", "veryfast", "-metadata", "comment=bench-live"],
      ]),
    );
    for (const { report } of streams) await eventually("a stream", () => mediaSeconds(report));
    // What each stream is late by itself: the frames in its encoder.
    await Bun.sleep(1500);
    const epoch = performance.now() / 1000;
    const offsets = streams.map(({ report }) => epoch - (mediaSeconds(report) ?? 0));
    const encodes = Array.from({ length: ENCODES }, (_, index) =>
      start(`batch${index}`, tree !== "all in one cgroup", [
        ...[...source("1280x720"), "-preset", "medium", "-metadata", "comment=bench-batch"],
        ...(threads === undefined ? [] : ["-threads", String(threads)]),
      ]),
    );
    for (const { report } of encodes) await eventually("an encode", () => valueIn(report, "frame"), 60_000);
    if (policy !== undefined) await startDaemon(box, daemons, policy, streams);
    const latest = () => Math.max(...streams.map((stream, index) => lateness(stream, offsets[index])));
    // What a stream was late before it was governed is not of the way that is measured.
    await settle(latest);
    return await sample(latest, streams, encodes, seconds);
  } finally {
    await eventually("the end of every workload", () => isEmpty(root) || undefined, 60_000);
    // The jobs are cleaned up by the daemon.
    await Bun.sleep(policy === undefined ? 0 : 500);
    remove(root);
  }
}

/** A stream whose report is some frames old is later by them, so that one sample in time says little. */
async function settle(latest: () => number): Promise<void> {
  const untilMs = performance.now() + 1000 * SETTLE_SECONDS;
  for (let inTimeMs = 0; inTimeMs < 1000 * IN_TIME_SECONDS && performance.now() < untilMs; ) {
    await Bun.sleep(SAMPLE_MS);
    inTimeMs = latest() <= LATE_SECONDS ? inTimeMs + SAMPLE_MS : 0;
  }
}

async function startDaemon(
  box: FfrtmpUnderTest,
  daemons: Processes,
  policy: string,
  streams: readonly Workload[],
): Promise<void> {
  const file = join(box.directory, "policy.yaml");
  writeFileSync(file, policy);
  daemons.start([box.executable, "watch", "--watch-config", file], { env: box.environment });
  const isGoverned = ({ pid }: Workload): boolean =>
    readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(box.cgroupPrefix);
  await eventually("governed streams", () => streams.every(isGoverned) || undefined, 60_000);
}

function lateness({ report }: Workload, offset = 0): number {
  return performance.now() / 1000 - offset - (mediaSeconds(report) ?? 0);
}

async function sample(
  latest: () => number,
  streams: readonly Workload[],
  encodes: readonly Workload[],
  seconds: number,
): Promise<Measured> {
  const framesOf = () => encodes.reduce((sum, { report }) => sum + (valueIn(report, "frame") ?? 0), 0);
  const [began, before, cpuBefore] = [performance.now() / 1000, framesOf(), readCpuTimes(streams, encodes)];
  const late: number[] = [];
  while (performance.now() / 1000 < began + seconds) {
    await Bun.sleep(SAMPLE_MS);
    late.push(latest());
  }
  const took = performance.now() / 1000 - began;
  const cpuNow = readCpuTimes(streams, encodes);
  const [live, batch] = [(cpuNow.live - cpuBefore.live) / took, (cpuNow.batch - cpuBefore.batch) / took];
  const ticks = { busy: cpuNow.busy - cpuBefore.busy, all: cpuNow.all - cpuBefore.all };
  const idle = 1 - ticks.busy / ticks.all;
  return {
    ok: late.filter((each) => each <= LATE_SECONDS).length / late.length,
    worst: Math.max(...late),
    frames: (framesOf() - before) / took,
    cores: { live, batch, others: Math.max(0, (1 - idle) * cpuNow.cpuCount - live - batch) },
    idle,
  };
}

/** Reads the CPU time of the workloads in seconds, and that of the machine in ticks. */
function readCpuTimes(streams: readonly Workload[], encodes: readonly Workload[]) {
  const host = realHost();
  const secondsOf = (workloads: readonly Workload[]): number =>
    workloads.reduce(
      (sum, { pid }) => sum + (visible(() => readProcessUse(host, pid))?.cpuUsec ?? 0) / 1e6,
      0,
    );
  const { cpuCount, cpuTicks } = readCpus(host);
  if (cpuTicks === null) throw new Error("/proc/stat cannot be read");
  return { live: secondsOf(streams), batch: secondsOf(encodes), ...cpuTicks, cpuCount };
}

function mediaSeconds(report: string): number | undefined {
  const usec = valueIn(report, "out_time_us");
  return usec === undefined ? undefined : usec / 1e6;
}

/** Returns the last value of a key in a file of `-progress`. */
function valueIn(report: string, key: string): number | undefined {
  try {
    const text = readFileSync(report, "utf8");
    const value = Number(text.slice(text.lastIndexOf(`${key}=`) + key.length + 1).split("\n")[0]);
    return text.includes(`${key}=`) && Number.isFinite(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEmpty(root: string): boolean {
  return listThreadsBelow(realCgroupFs, root, new Set()).length === 0;
}

function remove(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) remove(join(directory, entry.name));
  rmdirSync(directory);
}
