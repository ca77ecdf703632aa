import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { parseCpuList } from "../../src/limits/grammar.ts";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { followStats, type StatsLine } from "../support/followStats.ts";
import { freePort } from "../support/ports.ts";
import { lacksCommand, lacksLimits, readProc, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const hasPressure =
  readHierarchies(realHost()).some(({ version }) => version === 2) && existsSync("/proc/pressure/cpu");
const hindranceTest = testIf(
  lacksLimits() ??
    lacksCommand("ffmpeg") ??
    lacksCommand("taskset") ??
    (hasPressure ? undefined : "needs pressure of cgroups"),
);

/** Cores that a job of these tests needs: little, because other tests run on the machine. */
const NEED = 0.3;
/** The same of a job whose one thread cannot keep up with it, also where the need was measured on a busy machine. */
const NEED_BEYOND_A_CORE = 4;
/** A thread that gets less of its core than this is not held back by itself alone. */
const WHOLE_CORE_PERCENT = 85;
const TRIAL_SECONDS = 4;
/** Verdicts are said after 30 s. A busy machine delays the samples that lead to them. */
const PATIENCE_MS = 150_000;

const encoder = (input: string, ...output: string[]): string[] => [
  ..."ffmpeg -nostdin -loglevel quiet".split(" "),
  ...input.split(" "),
  ..."-c:v libx264 -preset medium -threads 1".split(" "),
  ...output,
];

/** Returns the frames per second at which an encoder needs about as much CPU time as these jobs may use. */
async function findFrameRate(): Promise<number> {
  const trial = Bun.spawn(
    encoder(`-f lavfi -i testsrc2=s=640x480:r=25:d=${TRIAL_SECONDS}`, "-f", "null", "-"),
    { stdin: "ignore", stdout: "ignore", stderr: "ignore" },
  );
  await trial.exited;
  const usec = Number(trial.resourceUsage()?.cpuTime.total ?? 0);
  expect(usec).toBeGreaterThan(0);
  const cores = usec / (1e6 * TRIAL_SECONDS);
  return Math.max(5, Math.round((25 * NEED) / cores));
}

/** A receiver of one stream. It reads until the test stops it. */
function receive() {
  let connection: { pause(): void } | undefined;
  let bytes = 0;
  const listener = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      open: (socket) => {
        connection = socket;
      },
      data: (_, data) => {
        bytes += data.length;
      },
    },
  });
  return {
    port: listener.port,
    hasReceived: () => bytes > 0,
    stopReading: () => connection?.pause(),
    [Symbol.dispose]: () => listener.stop(true),
  };
}

/** A camera: an encoder in real time, whose stream goes to the client that connects, until it is paused. */
function camera() {
  const source = sandbox().spawn(
    encoder("-re -f lavfi -i testsrc2=s=160x120:r=10", ..."-preset ultrafast -f mpegts -".split(" ")),
  );
  let isPaused = false;
  const listener = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      data: () => {},
      open: async (socket) => {
        for await (const chunk of source.stdout as ReadableStream<Uint8Array>) {
          if (isPaused) return;
          socket.write(chunk);
        }
      },
    },
  });
  return {
    port: listener.port,
    pause: () => {
      isPaused = true;
    },
    [Symbol.dispose]: () => listener.stop(true),
  };
}

/** Returns the lines of `stats --once`, by job. */
async function once(): Promise<Record<string, StatsLine>> {
  const { stdout } = await sandbox().run(["stats", "--once", "--json"]);
  const lines: StatsLine[] = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return Object.fromEntries(lines.map((line) => [line.job_id, line]));
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The CPUs that this process may use. */
const CPUS = parseCpuList(
  readProc(process.pid, "status").match(/^Cpus_allowed_list:\t(.+)$/m)?.[1] ?? "",
) ?? [0];
const [CROWDED_CPU, OTHER_CPU] = [CPUS[0] as number, CPUS.at(-1) as number];
const onCpu = (cpu: number, command: string[]): string[] => ["taskset", "-c", `${cpu}`, ...command];

const encode = (frameRate: number): string[] =>
  encoder(`-re -f lavfi -i testsrc2=s=640x480:r=${frameRate}`, "-f", "null", "-");

/** For a command that begins with another program, which `--progress` leaves as it is. */
const withProgress = ([ffmpeg = "", ...rest]: string[], file: string): string[] => [
  ...[ffmpeg, "-progress", sandbox().path(file)],
  ...rest,
];

interface Ports {
  receiver: number;
  source: number;
}

/** Starts jobs of which all but `free` are held back, and returns what holds each back. */
async function startJobs(frameRate: number, ports: Ports): Promise<Record<string, string>> {
  const live = encode(frameRate);
  const transcode = live.filter((word) => word !== "-re");
  const send = encoder(
    "-re -f lavfi -i testsrc2=s=160x120:r=10",
    ..."-preset ultrafast -b:v 300k -f mpegts".split(" "),
    `tcp://127.0.0.1:${ports.receiver}`,
  );
  const view = `ffmpeg -nostdin -loglevel quiet -i tcp://127.0.0.1:${ports.source} -c copy -f null -`;
  // Other programs on the machine must not slow those that nothing else holds back.
  const ahead = ["--progress", "--cpu-weight", "1000"];
  await sandbox().startJob("free", ahead, live);
  await sandbox().startJob("starved", [...ahead, "--cpu-quota", (50 * NEED).toFixed(1)], live);
  await sandbox().startJob("batch", [...ahead, "--cpu-quota", "3"], transcode);
  await sandbox().startJob("sender", ahead, send);
  await sandbox().startJob("viewer", ahead, view.split(" "));
  const crowded = onCpu(CROWDED_CPU, withProgress(live, "crowded"));
  await sandbox().startJob("crowded", ["--cpu-weight", "5"], crowded);
  return {
    ...{ starved: "own_limit", batch: "own_limit", crowded: "neighbours" },
    ...{ sender: "receiver", viewer: "source" },
  };
}

/** Starts a job whose one thread cannot keep up, on another CPU than the crowded one. */
async function startSingle(frameRate: number): Promise<Record<string, string>> {
  if (OTHER_CPU === CROWDED_CPU) {
    console.log("not tried: a single CPU has no core for one job alone");
    return {};
  }
  const command = encode(Math.round((frameRate * NEED_BEYOND_A_CORE) / NEED));
  const single = onCpu(OTHER_CPU, withProgress(command, "single"));
  await sandbox().startJob("single", ["--cpu-weight", "10000"], single);
  return { single: "itself" };
}

/** Returns whether other programs on the machine have taken the core of a job in some of the last samples. */
const lacksItsCore = (lines: StatsLine[], samples: number): boolean =>
  lines.slice(-samples).some(({ cpu_percent: percent }) => percent < WHOLE_CORE_PERCENT);

hindranceTest(
  "what holds back each of several jobs is said by stats and by watch, and is in their results",
  async () => {
    using receiver = receive();
    using source = camera();
    const address = `127.0.0.1:${freePort()}`;
    const daemon = await startDaemon(sandbox(), ["--target", "no-such-program", "--listen", address]);
    const frameRate = await findFrameRate();
    const expected = await startJobs(frameRate, { receiver: receiver.port, source: source.port });
    const stats = followStats(sandbox(), "1s");
    const mediaOf = (jobId: string): number => stats.of(jobId).at(-1)?.media.media_seconds ?? 0;
    await until("the streams arrive and all encode", () =>
      ["free", "starved", "batch", "viewer", "crowded"].every((jobId) => mediaOf(jobId) > 1),
    );
    await until("the receiver reads", () => receiver.hasReceived());
    Object.assign(expected, await startSingle(frameRate));
    receiver.stopReading();
    source.pause();
    // It ends by itself, whatever becomes of this test.
    const neighbour = sandbox().spawn(
      onCpu(CROWDED_CPU, ["bash", "-c", "while ((SECONDS < 150)); do :; done"]),
    );
    const verdictsOf = (hindranceOf: (jobId: string) => StatsLine) =>
      Object.fromEntries(Object.keys(expected).map((jobId) => [jobId, hindranceOf(jobId)?.verdict]));
    const said = () => verdictsOf((jobId) => stats.of(jobId).at(-1)?.hindrance);
    const isUntried = (samples: number) =>
      "single" in expected && said()["single"] !== "itself" && lacksItsCore(stats.of("single"), samples);
    const isSaid = () =>
      Object.entries(said()).every(
        ([jobId, verdict]) => verdict !== undefined || (jobId === "single" && isUntried(15)),
      );
    // The log shows more about the cause than a timeout does.
    await until("stats says a cause for each", isSaid, PATIENCE_MS).catch(() => {});
    // A verdict takes 30 s, by evidence of the last 15 s each.
    if (isUntried(50)) {
      console.log("not tried: the machine is too busy to give a job a core of its own");
      delete expected["single"];
    }
    expect(said()).toEqual(expected);
    await until("watch says a cause for each", () =>
      Object.keys(expected).every((jobId) => daemon.log().includes(`Job ${jobId}: `)),
    );
    neighbour.kill();
    const listed: StatsLine[] = await sandbox().json(["ps"]);
    const found = verdictsOf((jobId) => listed.find(({ job_id }) => job_id === jobId)?.hindrance);
    expect(found).toEqual(expected);
    const atOnce = await once();
    expect(verdictsOf((jobId) => atOnce[jobId].hindrance)).toEqual(expected);
    // It measures for a second, and the daemon for 15.
    expect(atOnce["starved"].interval_seconds).toBeLessThan(atOnce["starved"].media.speed_over_seconds);
    expect(atOnce["starved"].media.speed).toBeLessThan(0.97);

    // It takes a CPU from everything else on the machine.
    if ("single" in atOnce) process.kill(atOnce["single"].pid, "SIGKILL");

    const [starved, batch] = ["starved", "batch"].map((jobId) => stats.of(jobId).at(-1).hindrance);
    expect(starved).toMatchObject({ live: true, limit: "cpu.max", evidence: { target_speed: 1 } });
    expect(batch).toMatchObject({ live: false, limit: "cpu.max", needed_cores: null });
    // Only where the machine is not too busy for it, the job that is free shows the truth about the other one.
    const all = stats.of("free");
    const [before, lately] = [all.slice(0, -15), all.slice(-15)].map((lines) =>
      lines.every(({ media }) => media.speed === null || media.speed >= 0.97),
    );
    if (!lately)
      console.log("not tried: the machine is too busy for a job without a quota to keep its speed");
    const used = mean(all.slice(-15).map(({ cpu_percent }) => cpu_percent / 100));
    const needs = stats.of("starved").flatMap(({ hindrance }) => hindrance?.needed_cores ?? []);
    const needed = mean(needs.slice(-15));
    const isRight = Math.abs(needed - used) <= 0.15 * used;
    expect({ isRight: !lately || isRight, needed, used }).toMatchObject({ isRight: true });
    expect(before && lately ? all.flatMap(({ hindrance }) => hindrance ?? []) : []).toEqual([]);

    const metrics = await (await fetch(`http://${address}/metrics`)).text();
    expect(metrics).toContain('ffrtmp_job_hindered{job_id="starved",reason="own_limit"} 1\n');
    expect(metrics).toMatch(/^ffrtmp_job_info\{job_id="batch",.*,kind=""\} 1$/m);
    const { stdout: events } = await sandbox().run(["events", "--job", "starved", "--json"]);
    const detail = { verdict: "own_limit", live: true, limit: "cpu.max", needed_cores: expect.any(Number) };
    const [event] = events.split("\n").filter((line) => line.includes('"held_back"'));
    expect(JSON.parse(event as string)).toMatchObject({ detail });
    for (const jobId of ["starved", "batch"])
      process.kill((await sandbox().json(["inspect", jobId])).pid, "SIGKILL");
    const results = await Promise.all(["starved", "batch"].map((jobId) => sandbox().resultOf(jobId)));
    expect(results).toMatchObject([
      { platform_sla_compliant: false, platform_sla_reason: "starved_by_own_limit" },
      { platform_sla_compliant: true, platform_sla_reason: "ended_by_signal" },
    ]);
    for (const { hindered_seconds } of results) expect(hindered_seconds.own_limit).toBeGreaterThanOrEqual(30);

    daemon.process.kill("SIGTERM");
    await daemon.process.exited;
    const { crowded } = await once();
    expect(crowded).toMatchObject({ media: { source: "progress", speed: null }, hindrance: null });
  },
);
