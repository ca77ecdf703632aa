import { readFileSync } from "node:fs";
import { errnoName } from "../../src/sys/errno.ts";
import { syscall } from "../../src/sys/libc.ts";

/** Processes that a benchmark has started. Each is ended by its PID when the benchmark is over or interrupted. */
export class Processes implements AsyncDisposable {
  static readonly #inUse = new Set<Processes>();
  readonly #children: Bun.Subprocess[] = [];

  constructor() {
    Processes.#inUse.add(this);
  }

  /** Ends the processes of all benchmarks. */
  static async stopAll(): Promise<void> {
    await Promise.all([...Processes.#inUse].map((processes) => processes[Symbol.asyncDispose]()));
  }

  start(cmd: string[], options: { env?: Record<string, string>; stderr?: number | "ignore" } = {}) {
    const child = Bun.spawn({
      cmd,
      stdio: ["ignore", "ignore", options.stderr ?? "ignore"],
      env: { ...(process.env as Record<string, string>), ...options.env },
    });
    this.#children.push(child);
    return child;
  }

  async stop(child: Bun.Subprocess): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const ended = await Promise.race([child.exited.then(() => true), Bun.sleep(5000).then(() => false)]);
    if (!ended) child.kill("SIGKILL");
    await child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => this.stop(child)));
    Processes.#inUse.delete(this);
  }
}

/** CPUCLOCK_SCHED of include/linux/posix-timers_types.h: the scheduler's count in ns. */
const SCHEDULER_CLOCK = 2;

/** Returns the CPU time of a process, in seconds, its ended threads included. Source: clock_getcpuclockid(3). */
export function readCpuSeconds(pid: number): number {
  // Not /proc/PID/stat, whose ticks of 10 ms are too coarse for a daemon that sleeps.
  const time = new BigInt64Array(2);
  const result = syscall("clock_gettime", (~pid << 3) | SCHEDULER_CLOCK, time);
  if (result < 0) throw new Error(`clock_gettime of PID ${pid}: ${errnoName(result)}`);
  return Number(time[0]) + Number(time[1]) / 1e9;
}

export interface MemoryKb {
  /** Proportional set size: its share of the pages that it has mapped. */
  proportional: number;
  /** Private dirty pages: the memory that its end would free. */
  privateDirty: number;
}

/** Source: /proc/PID/smaps_rollup, proc_pid_smaps(5). */
export function readMemory(pid: number): MemoryKb {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
  return {
    proportional: kb("Pss"),
    privateDirty: kb("Private_Dirty"),
  };
}

/** Polls until a value is there. Throws with its name when it is not there in time. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined,
  patienceMs = 20_000,
): Promise<T> {
  for (const end = performance.now() + patienceMs; ; ) {
    const found = look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`waited ${patienceMs} ms in vain for: ${what}`);
    await Bun.sleep(10);
  }
}
