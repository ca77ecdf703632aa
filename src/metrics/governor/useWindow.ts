/** The CPU time of the machine and of the batch jobs until a time, in µs. */
export interface UseReading {
  /** CLOCK_BOOTTIME, ms. */
  readonly atMs: number;
  /** The CPU time of all CPUs since the boot. */
  readonly busyUsec: number;
  /** By the key of the job. */
  readonly batchUsec: ReadonlyMap<string, number>;
}

interface Sample {
  readonly atMs: number;
  readonly othersCores: number;
  readonly batchCores: ReadonlyMap<string, number>;
}

/** The time before now in which peaks count. */
const WINDOW_MS = 2000;
/** An average over a longer time hides the peaks. */
const MAX_INTERVAL_MS = 3000;
/** While a sample is at most this old, one that is less certain is not needed. */
const RECENT_MS = 1000;

/** Keeps what batch and all others used in the last 2 s. */
export class UseWindow {
  #before: UseReading | undefined;
  #samples: Sample[] = [];

  /** Adds a reading. The first one, one after a long pause, and one with less than before begin a new time. */
  add(reading: UseReading): void {
    const before = this.#before;
    this.#before = reading;
    if (before === undefined) return;
    const intervalMs = reading.atMs - before.atMs;
    if (intervalMs <= 0 || intervalMs > MAX_INTERVAL_MS) return;
    // Not what the others used, nor 0: a container's /proc/stat can go back, and NaN is not at least 0 either.
    if (!(reading.busyUsec >= before.busyUsec)) return;
    const { batchUsec } = reading;
    // What a job used before it was first read, or after it was last read, would count as the others'.
    const isSame =
      batchUsec.size === before.batchUsec.size && batchUsec.keys().every((key) => before.batchUsec.has(key));
    if (!isSame && (this.ageMs(reading.atMs) ?? Number.POSITIVE_INFINITY) <= RECENT_MS) return;
    const coresOf = (usec: number): number => Math.max(0, usec / 1000 / intervalMs);
    const batchCores = new Map<string, number>();
    let batch = 0;
    for (const [key, usec] of batchUsec) {
      const earlier = before.batchUsec.get(key);
      // Less than before: the job has got another cgroup.
      if (earlier === undefined || usec < earlier) continue;
      batchCores.set(key, coresOf(usec - earlier));
      batch += usec - earlier;
    }
    const othersCores = coresOf(reading.busyUsec - before.busyUsec - batch);
    const isRecent = (sample: Sample): boolean => reading.atMs - sample.atMs < WINDOW_MS;
    this.#samples = [...this.#samples.filter(isRecent), { atMs: reading.atMs, othersCores, batchCores }];
  }

  /** The age of the last sample; `null` when there is none. */
  ageMs(nowMs: number): number | null {
    const last = this.#samples.at(-1);
    return last === undefined ? null : nowMs - last.atMs;
  }

  /** The most that all but the batch jobs used, in cores; `null` when there is no sample. */
  othersCores(): number | null {
    return peakOf(this.#samples.map((sample) => sample.othersCores));
  }

  /** The most that a batch job used, in cores; `null` when that is not known. */
  useOf(key: string): number | null {
    return peakOf(this.#samples.flatMap(({ batchCores }) => batchCores.get(key) ?? []));
  }
}

function peakOf(cores: readonly number[]): number | null {
  return cores.length === 0 ? null : Math.max(...cores);
}
