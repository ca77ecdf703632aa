import { readdirSync, readFileSync } from "node:fs";

/** Processes that a benchmark has started, each ended by its own PID when the benchmark is over. */
export class Processes implements AsyncDisposable {
  readonly #children: Bun.Subprocess[] = [];

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
  }
}

const CLOCK_TICKS_PER_SECOND = 100;

/** CPU time that a process has used, its threads and reaped children included, in seconds. Source: /proc/PID/schedstat per thread. */
export function readCpuSeconds(pid: number): number {
  // /proc/PID/stat counts in ticks of 10 ms, too coarse for a daemon that sleeps; schedstat counts ns, per thread.
  let nanoseconds = 0;
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]);
  }
  return nanoseconds / 1e9;
}

/** Ticks of children that were reaped, in seconds: fields 16 and 17 of /proc/PID/stat. */
export function readChildCpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / CLOCK_TICKS_PER_SECOND;
}

export interface MemoryKb {
  /** Its share of what it has mapped. */
  proportional: number;
  /** What it has written itself: what would be free if it went. */
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

/** Looks again until something is there; throws, naming it, when it has not come in time. */
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
