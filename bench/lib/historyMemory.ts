import { heapStats } from "bun:jsc";
import { UNKNOWN_COUNTERS } from "../../src/limits/counters.ts";
import { JobHistory, type Recorded, RINGS } from "../../src/metrics/history/jobHistory.ts";

/** Prints what the histories of many jobs take after 6 hours, as JSON. Alone in its process, whose memory it measures. */

export interface HistoryMemory {
  readonly jobs: number;
  /** Of all rings of all jobs. */
  readonly points: number;
  /** The growth of the resident memory. */
  readonly residentBytes: number;
  /** The growth of the objects in use, with the memory of typed arrays. */
  readonly heapBytes: number;
  /** The size of the stored form of one life. */
  readonly storedBytes: number;
}

const JOBS = 500;
const HOURS = 6;
/** In the last minutes each job is read each second, so that the ring of ten minutes is full too. */
const WATCHED_SECONDS = 900;
const PAGE = 4096;
const BOOT_MS = 4_000_000_000;
const AT = { wallMs: 1_800_000_000_000, bootMs: BOOT_MS };

// The code, and the garbage of its use, are there before.
fill(JOBS / 10);
const before = await memory();
const histories = fill(JOBS);
const after = await memory();
const stored = histories.map((history) => history.encode(AT)?.length ?? 0);
const result: HistoryMemory = {
  jobs: JOBS,
  points: histories.reduce((sum, history) => sum + pointsOf(history), 0),
  residentBytes: after.resident - before.resident,
  heapBytes: after.heap - before.heap,
  storedBytes: Math.round(stored.reduce((sum, bytes) => sum + bytes) / JOBS),
};
console.log(JSON.stringify(result));

async function memory() {
  // Freed memory goes back to the kernel a little later.
  for (let n = 0; n < 5; n++) {
    Bun.gc(true);
    await Bun.sleep(200);
  }
  return { resident: process.memoryUsage.rss(), heap: heapStats().heapSize };
}

/** Returns the histories of jobs that all run at the same time. */
function fill(count: number): JobHistory[] {
  const jobs = Array.from({ length: count }, (_, job) => ({
    history: new JobHistory(),
    run: transcode(job),
  }));
  for (let isRunning = true; isRunning; ) {
    for (const { history, run } of jobs) {
      const { value, done } = run.next();
      isRunning = done !== true;
      if (value !== undefined) history.record(value);
    }
  }
  return jobs.map(({ history }) => history);
}

function pointsOf(history: JobHistory): number {
  const rings = RINGS.map((name) => history.ring(AT, name));
  return rings.reduce((sum, ring) => sum + (ring?.points.length ?? 0), 0);
}

/** A transcode under a quota that reads a file and sends a stream: everything is known of it, and nothing stands still. */
function* transcode(job: number): Generator<Recorded, undefined> {
  const random = randomOf(job + 1);
  const around = (value: number, part: number) => value * (1 + part * (2 * random() - 1));
  const counters = { ...UNKNOWN_COUNTERS };
  const add = (name: keyof typeof counters, amount: number) => {
    counters[name] = (counters[name] ?? 0) + Math.round(amount);
  };
  let [sent, received, mediaSeconds, level] = [0, 0, 0, 1];
  let atBootMs = BOOT_MS + Math.floor(10_000 * random());
  const endMs = atBootMs + HOURS * 3_600_000;
  while (atBootMs < endMs) {
    const stepMs = endMs - atBootMs > 1000 * WATCHED_SECONDS ? 10_000 : 1000;
    const elapsedMs = stepMs + Math.floor(5 * random());
    const seconds = elapsedMs / 1000;
    atBootMs += elapsedMs;
    level = Math.min(1.5, Math.max(0.5, level + 0.1 * (random() - 0.5)));
    add("cpuUsec", around(900_000 * level, 0.1) * seconds);
    add("quotaPeriods", 10 * seconds);
    add("throttledPeriods", around(3 * level, 0.5) * seconds);
    add("ioReadBytes", PAGE * Math.round(around(150 * level, 0.3) * seconds));
    add("ioWriteBytes", PAGE * Math.round(around(90 * level, 0.3) * seconds));
    add("cpuPressureUsec", around(120_000 * level, 0.5) * seconds);
    add("memoryPressureUsec", random() < 0.05 ? 3000 * random() : 0);
    add("memoryFullPressureUsec", random() < 0.02 ? 2000 * random() : 0);
    add("ioPressureUsec", around(5000, 0.9) * seconds);
    add("ioFullPressureUsec", around(4000, 0.9) * seconds);
    sent += Math.round(around(450_000 * level, 0.2) * seconds);
    received += Math.round(around(9000 * level, 0.2) * seconds);
    mediaSeconds += around(1, 0.03) * seconds;
    yield {
      now: { atBootMs, counters: { ...counters } },
      processCount: 2,
      memory: { bytes: PAGE * Math.round(around(60_000 * level, 0.02)) },
      network: {
        bytes: { sent, received },
        sendBacklogSeconds: random() < 0.3 ? random() : 0,
      },
      media: { mediaSeconds, speed: { factor: around(1, 0.02) } },
    };
  }
}

/** Mulberry32: the same numbers in each run. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
