import { copyFileSync, openSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Ledger } from "../src/ledger/ledger.ts";
import { locateState, type StateFiles } from "../src/ledger/location.ts";
import { prune } from "../src/ledger/prune.ts";
import { realHost } from "../src/linux/host.ts";
import { someResult, someStartingJob } from "../test/support/jobs.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, Processes, readCpuSeconds, readMemory } from "./lib/processes.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const PARTS = 10;
const DAY_MS = 86_400_000;
/** The simulated jobs are spread over this time, and the last parts are under retention. */
const SPAN_MS = 92 * DAY_MS;
const RETENTION = { maxAgeMs: 46 * DAY_MS, maxBytes: Number.POSITIVE_INFINITY };
const MAX_DRIFT = 0.1;
/** The lives of the real processes, and the time between two starts. */
const LIFE_S = "0.1";
const GAP_MS = 40;

/** What a part of the jobs took, measured at its end. */
interface Part {
  jobs: number;
  /** The time of this process for each simulated job, or the CPU time of the daemon for each real one. */
  msPerJob: number;
  ledgerBytes: number;
  privateKb: number;
  descriptors: number;
}

/**
 * Simulates the jobs of three months: each is registered, runs, ends and is cleaned up in a real ledger, whose retention
 * is six weeks. Then a daemon governs real short-lived processes with this ledger.
 */
export const soak: Benchmark = {
  title: "Soak: three months of jobs, and real processes after them",
  needs: {},
  async run({ quick }) {
    using ffrtmp = new FfrtmpUnderTest();
    await using processes = new Processes();
    const state = locateState(ffrtmp.state, {});
    const simulated = await simulate(state, quick ? 20_000 : 1_000_000);
    const real = await govern(ffrtmp, processes, quick ? 600 : 6000);
    removeGroups(governedHierarchies(), ffrtmp.cgroupPrefix);
    return [
      "Simulated jobs, the cost of the ledger and of its retention:",
      "",
      table(simulated),
      "",
      "Real jobs of `ffrtmp watch`, with that ledger:",
      "",
      table(real.parts),
      "",
      reached("ledger of the simulated jobs", simulated, ({ ledgerBytes }) => ledgerBytes),
      reached("time for each simulated job", simulated, ({ msPerJob }) => msPerJob),
      reached("CPU time for each real job", real.parts, ({ msPerJob }) => msPerJob),
      reached("private memory of the daemon", real.parts, ({ privateKb }) => privateKb),
      reached("open descriptors of the daemon", real.parts, ({ descriptors }) => descriptors),
      reached("ledger while real jobs are added", real.parts, ({ ledgerBytes }) => ledgerBytes),
      target(`results of all real jobs: ${real.results} of ${real.started}`, real.results === real.started),
    ].join("\n");
  },
};

async function simulate(state: StateFiles, jobs: number): Promise<Part[]> {
  const ledger = new Ledger(state.ledger, (message) => {
    throw new Error(message);
  });
  const parts: Part[] = [];
  const intervalMs = Math.floor(SPAN_MS / jobs);
  const startMs = Date.now() - jobs * intervalMs;
  for (let part = 1; part <= PARTS; part++) {
    progress(`simulated jobs, part ${part} of ${PARTS}`);
    const from = performance.now();
    const count = jobs / PARTS;
    for (let job = 0; job < count; job++) {
      const atMs = startMs + ((part - 1) * count + job) * intervalMs;
      recordJob(ledger, atMs);
      if (job % 1000 === 0) pruneAt(state, atMs);
    }
    const memory = readMemory(process.pid);
    parts.push({
      jobs: part * count,
      msPerJob: (performance.now() - from) / count,
      ledgerBytes: ledgerBytes(state),
      privateKb: memory.privateDirty,
      descriptors: countDescriptors(process.pid),
    });
    await Bun.sleep(0);
  }
  ledger.close();
  return parts;
}

function recordJob(ledger: Ledger, atMs: number): void {
  const starting = someStartingJob({ jobId: `soak-${atMs}`, createdMs: atMs });
  ledger.register(starting);
  const pid = 1 + (atMs % 4_000_000);
  const process = { bootId: starting.observer.bootId, pid, startTicks: atMs % 1_000_000_000 };
  const running = ledger.recordRunning(starting, {
    process,
    startedMs: atMs,
    startedBootMs: atMs,
    outcomes: [],
  });
  const ended = ledger.recordResult(running, someResult(running, { startMs: atMs, endMs: atMs + 5000 }));
  if (ended !== "already ended") ledger.markCleanedUp(ended);
}

function pruneAt(state: StateFiles, nowMs: number): void {
  const pass = prune({ host: realHost(), state, retention: RETENTION, nowMs, countLogs: false });
  while (!pass.next().done);
}

async function govern(ffrtmp: FfrtmpUnderTest, processes: Processes, jobs: number) {
  const name = "ffb-soak";
  const program = join(ffrtmp.directory, name);
  copyFileSync("/bin/sleep", program);
  const log = join(ffrtmp.directory, "watch.log");
  const unlimited = ["--retention-max-age", "unlimited", "--retention-max-size", "unlimited"];
  const daemon = processes.start(
    [ffrtmp.executable, "watch", "--target", name, "--cpu-quota", "100", ...unlimited],
    { env: ffrtmp.environment, stderr: openSync(log, "a") },
  );
  const logText = () => readFileSync(log, "utf8");
  await eventually("ffrtmp watch is ready", () => (logText().includes("Watching for") ? true : undefined));
  const state = locateState(ffrtmp.state, {});
  const parts: Part[] = [];
  for (let part = 1; part <= PARTS; part++) {
    progress(`real jobs, part ${part} of ${PARTS}`);
    const cpuBefore = readCpuSeconds(daemon.pid);
    const count = jobs / PARTS;
    const children: Bun.Subprocess[] = [];
    for (let job = 0; job < count; job++) {
      children.push(Bun.spawn({ cmd: [program, LIFE_S], stdio: ["ignore", "ignore", "ignore"] }));
      await Bun.sleep(GAP_MS);
    }
    await Promise.all(children.map(({ exited }) => exited));
    await eventually("all jobs of the part are recorded", () =>
      countLines(logText(), "JOB ") >= part * count ? true : undefined,
    );
    parts.push({
      jobs: part * count,
      msPerJob: ((readCpuSeconds(daemon.pid) - cpuBefore) * 1000) / count,
      ledgerBytes: ledgerBytes(state),
      privateKb: readMemory(daemon.pid).privateDirty,
      descriptors: countDescriptors(daemon.pid),
    });
  }
  await processes.stop(daemon);
  return { parts, results: countLines(logText(), "JOB "), started: jobs };
}

function countLines(text: string, start: string): number {
  return text.split("\n").filter((line) => line.includes(start)).length;
}

function ledgerBytes({ ledger }: StateFiles): number {
  return statSync(ledger).size;
}

function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function table(parts: Part[]): string {
  const rows = parts.map(({ jobs, msPerJob, ledgerBytes, privateKb, descriptors }) => [
    jobs.toLocaleString("en"),
    msPerJob.toFixed(msPerJob < 1 ? 3 : 2),
    (ledgerBytes / 1024 ** 2).toFixed(1),
    ms(privateKb / 1024),
    descriptors,
  ]);
  return markdownTable(["jobs so far", "ms per job", "ledger MiB", "private MiB", "descriptors"], rows);
}

/** Compares the last part with one after the middle: caches fill and retention begins before that. */
function reached(what: string, parts: Part[], value: (part: Part) => number): string {
  const [middle, last] = [parts[parts.length / 2], parts.at(-1)] as [Part, Part];
  const drift = value(last) / value(middle) - 1;
  return target(
    `${what} grows by at most 10 % over the second half: ${(100 * drift).toFixed(1)} %`,
    drift <= MAX_DRIFT,
  );
}
