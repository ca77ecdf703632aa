import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_METER } from "../src/daemon/meter/meterClient.ts";
import { UsageHistories } from "../src/daemon/usageHistories.ts";
import { attach } from "../src/jobs/attach/attach.ts";
import { type Context, createContext } from "../src/jobs/context.ts";
import { recordExit } from "../src/jobs/exit/recordExit.ts";
import type { RunningJob } from "../src/jobs/model/job.ts";
import { Ledger } from "../src/ledger/ledger.ts";
import { locateState } from "../src/ledger/location.ts";
import { UNKNOWN_COUNTERS } from "../src/limits/counters.ts";
import { realHost } from "../src/linux/host.ts";
import { JobHistory } from "../src/metrics/history/jobHistory.ts";
import { closeFd } from "../src/sys/descriptor.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { markdownTable, ms, target } from "./lib/table.ts";
import { measureWorkloadCost } from "./lib/workloadCost.ts";

const SETTINGS = [
  { jobs: 100, intervalMs: 1000, mostCoreShare: 0.01 },
  { jobs: 500, intervalMs: 1000, mostCoreShare: 0.05 },
  { jobs: 100, intervalMs: 10_000, mostCoreShare: 0.0015 },
  { jobs: 500, intervalMs: 10_000, mostCoreShare: undefined },
];
const MOST_BLOCKED_MS = 15;
const MOST_MEMORY_MB = 32;
/** CPU time of a workload that is observed, divided by that of the same one alone. */
const MOST_WORKLOAD_COST = 1 / 0.99;
const HISTORIES = 500;
const FULL = 360;

/** Measures what the reading of many jobs costs the daemon that does it. */
export const observe: Benchmark = {
  title: "Observe: reading many jobs again and again",
  needs: { ffmpeg: "ffmpeg" },
  async run({ quick }) {
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-bench-"));
    const state = locateState(directory, {});
    const context = createContext({
      host: realHost(),
      ledger: new Ledger(state.ledger, console.error),
      state,
      warn: console.error,
    });
    const sleepers: Bun.Subprocess[] = [];
    const jobs: RunningJob[] = [];
    try {
      const most = Math.max(...SETTINGS.map((setting) => setting.jobs));
      progress(`attaching ${most} jobs`);
      for (let n = 0; n < most; n++) {
        const sleeper = Bun.spawn(["sleep", "86400"], { stdio: ["ignore", "ignore", "ignore"] });
        sleepers.push(sleeper);
        jobs.push(govern(context, sleeper.pid, n));
      }
      const idleShare = await coreShareOf(quick ? 5 : 20);
      const rows: (string | number)[][] = [
        ["the same process without a reading", percentText(idleShare), ""],
      ];
      const lines: string[] = [];
      for (const { jobs: count, intervalMs, mostCoreShare } of SETTINGS) {
        const seconds = (quick ? 2 : 6) * Math.max(5, intervalMs / 1000);
        // The runtime compiles the code that it executes often.
        const warmUpMs = quick ? 2 * intervalMs : Math.max(30_000, 4 * intervalMs);
        progress(`${count} jobs each ${intervalMs / 1000} s, for ${seconds} s`);
        const times = { intervalMs, warmUpMs, seconds };
        const { coreShare, longestMs } = await sample(context, jobs.slice(0, count), times);
        rows.push([`${count} jobs, each ${intervalMs / 1000} s`, percentText(coreShare), ms(longestMs)]);
        const what = `${count} jobs at ${intervalMs / 1000} s`;
        if (mostCoreShare !== undefined)
          lines.push(
            target(
              `${what}: at most ${100 * mostCoreShare} % of a core more`,
              coreShare - idleShare <= mostCoreShare,
            ),
          );
        lines.push(
          target(`${what}: the longest block is at most ${MOST_BLOCKED_MS} ms`, longestMs <= MOST_BLOCKED_MS),
        );
      }
      const { memoryMb, storedBytes } = measureHistories();
      rows.push([
        `${HISTORIES} full histories: ${memoryMb.toFixed(1)} MB, each ${storedBytes} bytes stored`,
        "",
        "",
      ]);
      lines.push(
        target(`${HISTORIES} full histories: at most ${MOST_MEMORY_MB} MB`, memoryMb <= MOST_MEMORY_MB),
      );
      progress("a workload, alone and observed");
      const workloadCost = await measureWorkloadCost(context, quick ? 5 : 25);
      lines.push(
        target(
          `a workload that is governed and read each second takes at most ${MOST_WORKLOAD_COST.toFixed(2)} of its CPU time alone: ${workloadCost.toFixed(3)}`,
          workloadCost <= MOST_WORKLOAD_COST,
        ),
      );
      const headings = ["", "CPU, of one core", "longest block, ms"];
      return `${markdownTable(headings, rows)}\n\n${lines.join("\n")}`;
    } finally {
      for (const sleeper of sleepers) sleeper.kill("SIGKILL");
      await Promise.all(sleepers.map(({ exited }) => exited));
      for (const job of jobs) recordExit(context, job, { kind: "exit-unknown", reason: "a benchmark" });
      context.ledger.close();
      rmSync(directory, { recursive: true });
    }
  },
};

function govern(context: Context, pid: number, n: number): RunningJob {
  const { job, pidfd } = attach(context, pid, {
    ...{ jobId: `observe-${n}`, intent: null, slaEligible: true, tenant: null, labels: {} },
    limits: { cpuMax: { quotaUsec: 100_000, periodUsec: 100_000 }, pidsMax: 100 },
  });
  if (pidfd !== undefined) closeFd(pidfd);
  return job;
}

/** Reads these jobs for some seconds, after the first readings. */
async function sample(
  context: Context,
  jobs: readonly RunningJob[],
  { intervalMs, warmUpMs, seconds }: { intervalMs: number; warmUpMs: number; seconds: number },
): Promise<{ coreShare: number; longestMs: number }> {
  let longestMs = 0;
  // CPU time: on a busy machine, the time that passes is also that of others.
  const attempt = <T>(work: () => T): T => {
    const before = process.cpuUsage();
    try {
      return work();
    } finally {
      const { user, system } = process.cpuUsage(before);
      longestMs = Math.max(longestMs, (user + system) / 1000);
    }
  };
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const histories = new UsageHistories({ ...context, meter: NO_METER, postponed: { attempt } }, () => byKey, {
    hotMs: intervalMs,
    coldMs: intervalMs,
  });
  histories.wake();
  await Bun.sleep(warmUpMs);
  longestMs = 0;
  const coreShare = await coreShareOf(seconds);
  histories.stop();
  return { coreShare, longestMs };
}

/** Returns the CPU time of this process for some seconds, in parts of a core. */
async function coreShareOf(seconds: number): Promise<number> {
  const [cpu, startMs] = [process.cpuUsage(), performance.now()];
  await Bun.sleep(1000 * seconds);
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 1000 / (performance.now() - startMs);
}

function percentText(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

/** Fills histories as long-running jobs do, with counters that grow unevenly. */
function measureHistories(): { memoryMb: number; storedBytes: number } {
  Bun.gc(true);
  const before = process.memoryUsage();
  const histories = Array.from({ length: HISTORIES }, () => new JobHistory());
  const counters = { ...UNKNOWN_COUNTERS };
  for (let n = 0; n <= FULL; n++) {
    const atBootMs = 1_000_000 + 10_000 * n + (n % 7);
    for (const [index, name] of (Object.keys(counters) as (keyof typeof counters)[]).entries())
      counters[name] = (counters[name] ?? 0) + ((n * 7919 * (index + 1)) % 9_999_991);
    for (const history of histories) {
      history.record({
        now: { atBootMs, counters: { ...counters } },
        processCount: 1 + (n % 3),
        memory: { bytes: 1e8 + ((n * 7919) % 1e6) },
        network: { bytes: { sent: n * 1e6, received: n }, sendBacklogSeconds: 1 / (1 + (n % 9)) },
        media: { mediaSeconds: 10 * n + (n % 7) / 1000, speed: { factor: 1 + (n % 7) / 100 } },
      });
    }
  }
  Bun.gc(true);
  const after = process.memoryUsage();
  const stored = histories[0]?.encode({ wallMs: Date.now(), bootMs: 1_000_000 + 10_000 * FULL });
  // With the memory of typed arrays.
  return { memoryMb: (after.heapUsed - before.heapUsed) / 2 ** 20, storedBytes: stored?.length ?? 0 };
}
