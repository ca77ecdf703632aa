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
import { realHost } from "../src/linux/host.ts";
import { closeFd } from "../src/sys/descriptor.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import type { HistoryMemory } from "./lib/historyMemory.ts";
import { markdownTable, ms, target } from "./lib/table.ts";
import { measureWorkloadCost } from "./lib/workloadCost.ts";

/**
 * The most readings first: the runtime compiles what it executes often, which takes 15,000 readings. A daemon has done that a
 * few minutes after its start, with 100 jobs too.
 */
const SETTINGS = [
  { jobs: 500, intervalMs: 1000, mostCoreShare: 0.05 },
  { jobs: 100, intervalMs: 1000, mostCoreShare: 0.01 },
  { jobs: 100, intervalMs: 10_000, mostCoreShare: 0.0015 },
  { jobs: 500, intervalMs: 10_000, mostCoreShare: undefined },
];
/** The interval at which `watch` reads slow values, and jobs without viewers. */
const DETAILS_MS = 10_000;
const MOST_BLOCKED_MS = 15;
const MOST_MEMORY_MB = 32;
/** CPU time of a workload that is observed, divided by that of the same one alone. */
const MOST_WORKLOAD_COST = 1 / 0.99;

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
      const samples: Sample[] = [];
      for (const { jobs: count, intervalMs, mostCoreShare } of SETTINGS) {
        const seconds = (quick ? 2 : 6) * Math.max(5, intervalMs / 1000);
        // The runtime compiles the code that it executes often.
        const warmUpMs = quick ? 2 * intervalMs : Math.max(30_000, 12 * intervalMs);
        progress(`${count} jobs each ${intervalMs / 1000} s, for ${seconds} s`);
        const times = { intervalMs, warmUpMs, seconds };
        const { coreShare, longestMs } = await sample(context, jobs.slice(0, count), times);
        samples.push({
          what: `${count} jobs at ${intervalMs / 1000} s`,
          coreShare,
          longestMs,
          mostCoreShare,
        });
      }
      const rows: (string | number)[][] = samples.map(({ what, coreShare, longestMs }) => [
        what,
        percentText(coreShare),
        ms(longestMs),
      ]);
      const lines = samples.flatMap(targetsOf);
      progress("the histories of 6 hours");
      const { jobs: histories, residentBytes, heapBytes, storedBytes } = measureHistories();
      const [resident, heap] = [residentBytes, heapBytes].map((bytes) => (bytes / 2 ** 20).toFixed(1));
      rows.push([
        `${histories} full histories: ${resident} MB resident, ${heap} MB of them in use, each ${storedBytes} bytes stored`,
        "",
        "",
      ]);
      lines.push(
        target(
          `${histories} full histories: at most ${MOST_MEMORY_MB} MB resident`,
          residentBytes <= MOST_MEMORY_MB * 2 ** 20,
        ),
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

interface Sample {
  what: string;
  coreShare: number;
  longestMs: number;
  /** `undefined`: no target. */
  mostCoreShare: number | undefined;
}

// Of the whole process: one without readings takes 0.01 to 0.4 %, depending on what it has done before.
function targetsOf({ what, coreShare, longestMs, mostCoreShare }: Sample): string[] {
  const cost =
    mostCoreShare === undefined
      ? []
      : [
          target(
            `${what}: at most ${100 * mostCoreShare} % of a core: ${percentText(coreShare)}`,
            coreShare <= mostCoreShare,
          ),
        ];
  const block = `${what}: the longest block is at most ${MOST_BLOCKED_MS} ms`;
  return [...cost, target(block, longestMs <= MOST_BLOCKED_MS)];
}

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
    coldMs: DETAILS_MS,
  });
  histories.wake();
  if (intervalMs < DETAILS_MS) histories.keepFresh(warmUpMs + 1000 * seconds);
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

/** Measures in a process of its own, whose memory has nothing else. */
function measureHistories(): HistoryMemory {
  const child = Bun.spawnSync([process.execPath, join(import.meta.dir, "lib/historyMemory.ts")], {
    stderr: "inherit",
  });
  return JSON.parse(child.stdout.toString());
}
