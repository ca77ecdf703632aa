import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { slaRates } from "../src/jobs/exit/slaRates.ts";
import type { RunningJob } from "../src/jobs/model/job.ts";
import { resultPageJson } from "../src/json/pages.ts";
import { ShownCommands } from "../src/json/shownCommands.ts";
import { type SnapshotParts, snapshotJson } from "../src/json/snapshot.ts";
import { Ledger } from "../src/ledger/ledger.ts";
import { locateState } from "../src/ledger/location.ts";
import type { LimitOutcome } from "../src/limits/outcome.ts";
import { JobHistory } from "../src/metrics/history/jobHistory.ts";
import type { JobUse } from "../src/metrics/jobUse.ts";
import { someJob, someResult } from "../test/support/jobs.ts";
import { someUse } from "../test/support/samples.ts";
import type { Benchmark } from "./lib/benchmark.ts";
import { markdownTable, ms, target } from "./lib/table.ts";

const SIZES = [200, 500];
const MOST_MS = 15;
const ENDED = 5000;
const ROUNDS = 60;
const COMMAND = [
  ...["ffmpeg", "-hide_banner", "-re", "-i", "rtmp://10.0.0.1/live/channel-7", "-c:v", "libx264"],
  ...["-preset", "veryfast", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize", "5000k", "-c:a", "aac"],
  ...["-f", "flv", "rtmp://live.example/app/abcd-efgh-1234-5678"],
];
const LIMITS: LimitOutcome[] = [
  { limit: "cpu.max", outcome: "applied", wanted: "150000 100000", actual: "150000 100000" },
  { limit: "memory.high", outcome: "applied", wanted: "2147483648", actual: "2147483648" },
];

/** Measures what it costs a daemon to show its jobs. */
export const show: Benchmark = {
  title: "Show: the snapshot of many jobs as JSON",
  needs: {},
  async run({ quick }) {
    const rounds = quick ? 10 : ROUNDS;
    const rows: (string | number)[][] = [];
    const lines: string[] = [];
    for (const size of SIZES) {
      const { cpuMs, bytes, gzipMs, gzipBytes } = measureSnapshots(size, rounds);
      rows.push([`snapshot of ${size} jobs, ${kilobytes(bytes)}`, ms(cpuMs)]);
      rows.push([`the same compressed once, ${kilobytes(gzipBytes)}`, ms(gzipMs)]);
      lines.push(target(`a snapshot of ${size} jobs takes at most ${MOST_MS} ms`, cpuMs <= MOST_MS));
    }
    const { slaMs, pageMs } = measureLedger(rounds);
    rows.push([`rates of a day with ${ENDED} ended jobs`, ms(slaMs)]);
    rows.push(["a page of 50 ended jobs", ms(pageMs)]);
    return `${markdownTable(["", "CPU, ms"], rows)}\n\n${lines.join("\n")}`;
  },
};

function measureSnapshots(size: number, rounds: number) {
  const jobs = Array.from({ length: size }, (_, n) => usedJob(n));
  const make = () => JSON.stringify(snapshotJson(partsOf(jobs)));
  for (let n = 0; n < rounds; n++) make();
  const text = make();
  const compress = () => Bun.gzipSync(text, { level: 1 });
  return {
    bytes: Buffer.byteLength(text),
    cpuMs: cpuMsOf(rounds, make),
    gzipBytes: compress().length,
    gzipMs: cpuMsOf(rounds, compress),
  };
}

function measureLedger(rounds: number) {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-"));
  const ledger = new Ledger(locateState(directory, {}).ledger, console.error);
  const nowMs = Date.now();
  for (let n = 0; n < ENDED; n++) {
    const job = someJob({ jobId: `ended-${n}`, slaEligible: true, command: COMMAND });
    ledger.register({ ...job, process: { ...job.process, pid: 1000 + n } });
    ledger.recordResult(job, someResult(job, { endMs: nowMs - 1000 * n }));
  }
  const measured = {
    slaMs: cpuMsOf(rounds, () => slaRates(ledger, nowMs - 86_400_000, nowMs + 1)),
    pageMs: cpuMsOf(rounds, () => JSON.stringify(resultPageJson(ledger.history(51), 50))),
  };
  ledger.close();
  rmSync(directory, { recursive: true });
  return measured;
}

/** Returns the CPU time of one call. */
function cpuMsOf(rounds: number, work: () => unknown): number {
  const before = process.cpuUsage();
  for (let n = 0; n < rounds; n++) work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / rounds;
}

interface UsedJob {
  job: RunningJob;
  use: JobUse;
  history: JobHistory;
}

/** Makes a job that was read each second for ten minutes. */
function usedJob(n: number): UsedJob {
  const job = someJob({
    ...{ jobId: `channel-${n}-1080p`, command: COMMAND, outcomes: LIMITS, mode: "watch" },
    ...{ tenant: `tenant-${n % 10}`, decidedBy: "rule live", labels: { tier: "gold" } },
    cgroup: [],
  });
  const history = new JobHistory();
  for (let second = 0; second < 600; second++) {
    const atBootMs = 200_000 + 1000 * second;
    const use = someUse(job, { cpuUsec: second * 1_460_000, quotaPeriods: 10 * second });
    history.record({ ...use, now: { ...use.now, atBootMs } });
  }
  const pressure = { cpuSomePercent: 12.345, memorySomePercent: 0.1, memoryFullPercent: 0, ioSomePercent: 1 };
  const rates = {
    ...{ cpuPercent: 146.1234, throttledPercent: 93.2, readBytesPerSecond: 1.1e6, writeBytesPerSecond: 0 },
    pressure: { ...pressure, ioFullPercent: 0.5 },
    cpuWaitPercent: null,
  };
  return {
    job,
    history,
    use: someUse(
      job,
      {},
      {
        ...{ rates, intervalMs: 1000 },
        network: {
          ...{ connections: 2, bytes: { sent: 1e9 + n, received: 2e9, retransmitted: 1234 } },
          ...{ sendBacklogBytes: 123_456, sendBacklogSeconds: 0.4, receiveBacklogBytes: 0 },
          ...{ windowLimitedPercent: 1.5, windowLimitedUsec: 15_000 },
          rates: {
            ...{ sentBytesPerSecond: 312_500.5, receivedBytesPerSecond: 400_000 },
            ...{ deviceSentBytesPerSecond: null, deviceReceivedBytesPerSecond: null },
          },
          devices: null,
        },
        media: {
          ...{ source: "progress", mediaSeconds: 1234.56, lengthSeconds: null, percent: null },
          ...{ isEstimate: false, speed: { factor: 0.63, overMs: 15_000 }, remainingSeconds: null },
          ...{ state: "running", frames: null, droppedFrames: null },
        },
      },
    ),
  };
}

const commands = new ShownCommands();

function partsOf(jobs: readonly UsedJob[]): SnapshotParts {
  const shown = commands.of(jobs.map(({ job }) => job));
  const none = { eligible: 0, compliant: 0, violations: 0, reasons: new Map<string, number>() };
  return {
    at: { wallMs: Date.now(), bootMs: 900_000 },
    hostname: "edge-03",
    daemon: { pid: 4025, startMs: 0 },
    machine: {
      ...{ cpuCount: 16, cpuTicks: null, memoryUsedBytes: 1e9, memoryTotalBytes: 64e9 },
      ...{ cpuWaitPercent: 1, memoryWaitPercent: 0 },
    },
    pressure: {
      ...{ cpuSomePercent: 4, memorySomePercent: 0, ioSomePercent: 0 },
      ...{ memoryFullPercent: 0, ioFullPercent: 0 },
    },
    busyPercent: 62.1,
    sla: { sinceMs: 0, untilMs: 1, overall: none, tenants: new Map(), notEligible: 0 },
    events: { source: "connector", dropped: 0 },
    problems: [],
    jobs: jobs.map(({ job, use, history }) => ({
      job,
      shown: shown.get(job.key),
      use,
      cores: history.recentCores(),
    })),
    devices: [],
    ended: [],
  };
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1000)} kB`;
}
