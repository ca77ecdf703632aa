import type { JobUse } from "../metrics/jobUse.ts";
import { ShortfallAlarm, shortfallOf } from "../metrics/shares/shortfall.ts";
import type { DaemonEvents } from "./events.ts";

/** Shares and needs change no faster. */
const INTERVAL_MS = 9_500;

/** Reports the jobs that need more than they are sure of, each once, and when that is over. */
export class Shortfalls {
  readonly #bus: DaemonEvents;
  readonly #intervalMs: number;
  readonly #alarm = new ShortfallAlarm();
  /** When each job was judged last, by `performance.now()`. */
  readonly #judgedMs = new Map<string, number>();

  constructor(bus: DaemonEvents, intervalMs = INTERVAL_MS) {
    this.#bus = bus;
    this.#intervalMs = intervalMs;
  }

  /** Returns whether the job is reported as short of CPU now. */
  isShort(key: string): boolean {
    return this.#alarm.isRaised(key);
  }

  /** Call it after each reading of a job. */
  judge({ job, shares }: JobUse): void {
    const nowMs = performance.now();
    if (shares === null || job.state !== "running") return;
    if (nowMs - (this.#judgedMs.get(job.key) ?? Number.NEGATIVE_INFINITY) < this.#intervalMs) return;
    this.#judgedMs.set(job.key, nowMs);
    const shortfall = shortfallOf(job, shares);
    const change = this.#alarm.judge(job.key, shortfall !== undefined);
    if (change === "began" && shortfall) this.#bus.emit({ kind: "job-short-of-cpu", job, shortfall });
    if (change === "ended") this.#bus.emit({ kind: "job-no-longer-short-of-cpu", job, shares });
  }

  /** Call it when a job is not read any more. */
  forget(key: string): void {
    this.#alarm.forget(key);
    this.#judgedMs.delete(key);
  }
}
