import { openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { governedHierarchies, removeGroups } from "./lib/cgroups.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { eventually, type MemoryKb, Processes, readMemory } from "./lib/processes.ts";
import { median } from "./lib/statistics.ts";
import { markdownTable, target } from "./lib/table.ts";

const MANY = 50;
const SETTLING_MS = 3000;
const MOST_PRIVATE_KB = 2.5 * 1024;
const JOB = ["--cpu-quota", "100", "--", "sleep", "600"];

/** The processes and the memory that jobs of one way to start them keep besides their workloads. */
interface Kept {
  /** Processes of ffrtmp for all jobs, without the daemon and its meter. */
  processes: number;
  /** The median of these; `null` without any. */
  each: MemoryKb | null;
  /** How much the private memory of the daemon and its meter has grown; absent without a daemon. */
  daemonGrowthKb?: number;
}

/** Measures the memory that ffrtmp keeps while a workload runs. */
export const footprint: Benchmark = {
  title: "Footprint: what waits while a workload runs",
  needs: {},
  async run({ quick }) {
    const many = quick ? 10 : MANY;
    const kept: [name: string, Kept][] = [];
    for (const count of [1, many]) {
      progress(`run: ${count} at once`);
      kept.push([count === 1 ? "run, alone" : `run, ${count} at once`, await measureRun(count)]);
    }
    progress(`run --detach under watch: ${many} at once`);
    const [name, detached] = [`run --detach under watch, ${many} at once`, await measureDetached(many)];
    const most = Math.max(...kept.map(([, { each }]) => each?.privateDirty ?? 0));
    const rows = [...kept, [name, detached] as const].map(([way, { processes, each }]) => [
      way,
      processes,
      each?.proportional ?? "–",
      each?.privateDirty ?? 0,
    ]);
    const growth = `Under watch, the private memory of the daemon and its meter, one process for all jobs, grew by ${((detached.daemonGrowthKb ?? 0) / 1024).toFixed(1)} MB with ${many} jobs: mostly code that the first of them needs.`;
    return [
      markdownTable(["", "processes", "kB proportional, each", "kB private dirty, each"], rows),
      growth,
      [
        target(
          `run: at most ${MOST_PRIVATE_KB / 1024} MB private each: ${(most / 1024).toFixed(1)} MB`,
          most <= MOST_PRIVATE_KB,
        ),
        target(`run --detach under watch: no process: ${detached.processes}`, detached.processes === 0),
      ].join("\n"),
    ].join("\n\n");
  },
};

/** Measures `count` wrappers at once, each with a workload of its own. */
async function measureRun(count: number): Promise<Kept> {
  using ffrtmp = new FfrtmpUnderTest();
  await using processes = new Processes();
  const wrappers = Array.from({ length: count }, () =>
    processes.start([ffrtmp.executable, "run", ...JOB], { env: ffrtmp.environment }),
  );
  const workloads = await Promise.all(
    wrappers.map(({ pid }) => eventually(`the workload of wrapper ${pid}`, () => childOf(pid))),
  );
  try {
    await Bun.sleep(SETTLING_MS);
    return keptBy(processesOf(ffrtmp));
  } finally {
    // Each wrapper ends by itself after its workload and cleans up.
    for (const pid of workloads) process.kill(pid, "SIGKILL");
    await Promise.all(wrappers.map(({ exited }) => exited));
    removeGroups(governedHierarchies(), ffrtmp.cgroupPrefix);
  }
}

/** Measures the same jobs in the background, while a daemon runs that observes them. */
async function measureDetached(count: number): Promise<Kept> {
  using ffrtmp = new FfrtmpUnderTest();
  await using processes = new Processes();
  const environment = { ...(process.env as Record<string, string>), ...ffrtmp.environment };
  const log = join(ffrtmp.directory, "watch.log");
  const daemon = processes.start([ffrtmp.executable, "watch", "--target", "ffrtmp-bench-none"], {
    env: ffrtmp.environment,
    stderr: openSync(log, "a"),
  });
  await eventually("ffrtmp watch is ready", () =>
    readFileSync(log, "utf8").includes("Watching for") ? true : undefined,
  );
  const runningJobs = (): { pid: number; state: string }[] => {
    const { stdout } = Bun.spawnSync({ cmd: [ffrtmp.executable, "ps", "--json"], env: environment });
    return JSON.parse(stdout.toString()).filter(({ state }: { state: string }) => state === "running");
  };
  try {
    await Bun.sleep(SETTLING_MS);
    const before = privateMemoryOf(daemon.pid);
    for (let started = 0; started < count; started++) {
      const cmd = [ffrtmp.executable, "run", "--detach", ...JOB];
      const { exitCode } = Bun.spawnSync({ cmd, env: environment, stdio: ["ignore", "ignore", "ignore"] });
      if (exitCode !== 0) throw new Error(`${cmd.join(" ")} ended with ${exitCode}`);
    }
    await Bun.sleep(SETTLING_MS);
    const daemonGrowthKb = privateMemoryOf(daemon.pid) - before;
    const jobs = runningJobs().length;
    if (jobs !== count) throw new Error(`${jobs} of ${count} jobs run`);
    const own = [daemon.pid, ...childrenOf(daemon.pid)];
    return { ...keptBy(processesOf(ffrtmp).filter((pid) => !own.includes(pid))), daemonGrowthKb };
  } finally {
    for (const { pid } of runningJobs()) process.kill(pid, "SIGKILL");
    await eventually("every job has ended", () => (runningJobs().length === 0 ? true : undefined));
    await processes.stop(daemon);
    removeGroups(governedHierarchies(), ffrtmp.cgroupPrefix);
  }
}

/** Returns the private memory of a daemon and of its meter, in kB. */
function privateMemoryOf(daemon: number): number {
  const own = [daemon, ...childrenOf(daemon)];
  return own.reduce((sum, pid) => sum + readMemory(pid).privateDirty, 0);
}

function keptBy(pids: number[]): Kept {
  const all = pids.map(readMemory);
  const of = (field: keyof MemoryKb): number => median(all.map((memory) => memory[field]));
  const each =
    all.length === 0 ? null : { proportional: of("proportional"), privateDirty: of("privateDirty") };
  return { processes: all.length, each };
}

/** Returns the processes that run this copy of the executable. */
function processesOf({ executable }: FfrtmpUnderTest): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/exe`) === executable;
      } catch {
        return false;
      }
    });
}

function childOf(pid: number): number | undefined {
  return childrenOf(pid)[0];
}

function childrenOf(pid: number): number[] {
  const { stdout } = Bun.spawnSync(["ps", "-o", "pid=", "--ppid", String(pid)]);
  return stdout.toString().split("\n").map(Number).filter(Boolean);
}
