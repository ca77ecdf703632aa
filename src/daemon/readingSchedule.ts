import type { PostponedWork } from "./postponedWork.ts";
import { ReadingSlices, SLICES } from "./readingSlices.ts";

/** The times between two readings of a job: `hot` while a viewer looks or the job is in doubt, else `cold`. */
export interface Intervals {
  readonly hotMs: number;
  readonly coldMs: number;
}

/** How long the readings stay frequent after a viewer has asked, unless it says for how long. */
const FRESH_MS = 5000;
/** A burst of new jobs is governed before the first of them is read. */
const FIRST_READING_MS = 100;
/**
 * A job that begins beside others is first read after this time: the next slice can be 10 s away. Many live shorter. Each job is
 * read again after the same time, because rates, and what competes with it, are known between two readings.
 */
const NEW_JOB_MS = 1000;
/** Jobs are read in parts of this time, with a pause for events in between. Finding the cgroup of a new job takes 0.5 ms. */
const PART_MS = 4;
const PAUSE_MS = 10;

/** Reads the jobs, which are named by their keys. */
interface Reader {
  /** Returns whether there are more observed jobs than in the schedule, or fewer. */
  hasOtherJobs(): boolean;
  /** Drops the jobs that are not observed any more, and returns the observed ones that are not in the schedule. */
  compareJobs(): Iterable<string>;
  /** Called before each slice. */
  beforeSlice(): void;
  /** Returns what reads a job, for some ms: it may keep the list of jobs for as long. */
  reading(): (key: string) => void;
  /** Returns whether there is work although no job is in the schedule. */
  hasWork(): boolean;
}

/** Decides when each job is read. No timer runs while there is no job. All times are by `performance.now()`. */
export class ReadingSchedule {
  readonly #intervals: Intervals;
  readonly #reader: Reader;
  readonly #postponed: Pick<PostponedWork, "attempt">;
  readonly #slices = new ReadingSlices<string>();
  /** When each job of the schedule was read last. */
  readonly #readMs = new Map<string, number>();
  /** The jobs that may be too slow. */
  readonly #doubtful = new Set<string>();
  /** The jobs that are to be read, and those that are new. */
  readonly #due = new Set<string>();
  /** The jobs that were read once. */
  readonly #readOnce = new Set<string>();
  #hotUntilMs = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #partTimer: ReturnType<typeof setTimeout> | undefined;
  #newJobsTimer: ReturnType<typeof setTimeout> | undefined;
  #slice = 0;
  /** When `#slice` is due. */
  #dueMs = 0;
  #isStopped = false;

  constructor(intervals: Intervals, reader: Reader, postponed: Pick<PostponedWork, "attempt">) {
    this.#intervals = intervals;
    this.#reader = reader;
    this.#postponed = postponed;
  }

  /** Call it when a job is observed. */
  wake(): void {
    if (this.#isStopped) return;
    if (this.#timer !== undefined) {
      this.#planNewJobs();
      return;
    }
    this.#dueMs = performance.now() + FIRST_READING_MS;
    this.#startTimer();
  }

  /** Has all jobs read each second for this long. */
  keepFresh(forMs = FRESH_MS): void {
    const wasHot = this.#isHot();
    this.#hotUntilMs = Math.max(this.#hotUntilMs, performance.now() + forMs);
    if (wasHot || this.#isStopped || this.#timer === undefined) return;
    // The next slice of the long interval can be seconds away.
    clearTimeout(this.#timer);
    this.#dueMs = performance.now();
    this.#startTimer();
  }

  /** Adds a job, which is read for the first time now. */
  add(key: string): void {
    this.#slices.add(key);
    this.#readOnce.add(key);
    if (!this.#isStopped) this.#planNewJobs();
  }

  /** Call it with each reading. */
  markRead(key: string): void {
    this.#readMs.set(key, performance.now());
  }

  /** A job in doubt is read each second. */
  setDoubt(key: string, isInDoubt: boolean): void {
    if (isInDoubt) this.#doubtful.add(key);
    else this.#doubtful.delete(key);
  }

  delete(key: string): void {
    this.#slices.delete(key);
    this.#readMs.delete(key);
    this.#doubtful.delete(key);
    this.#readOnce.delete(key);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#partTimer);
    clearTimeout(this.#newJobsTimer);
  }

  #startTimer(): void {
    const run = () => {
      this.#timer = undefined;
      this.#postponed.attempt(() => this.#readSlice());
      // Slices without jobs are passed over.
      const step = this.#stepsToNext();
      if (step === undefined) return;
      this.#slice = (this.#slice + step) % SLICES;
      this.#dueMs = Math.max(this.#dueMs + step * this.#stepMs(), performance.now());
      this.#startTimer();
    };
    this.#timer = setTimeout(run, Math.max(0, this.#dueMs - performance.now())).unref();
  }

  #isHot(): boolean {
    return performance.now() < this.#hotUntilMs;
  }

  /** The time from one slice to the next one. */
  #stepMs(): number {
    const { hotMs, coldMs } = this.#intervals;
    return (this.#isHot() || this.#doubtful.size > 0 ? hotMs : coldMs) / SLICES;
  }

  /** Returns `undefined` when nothing is left to do. */
  #stepsToNext(): number | undefined {
    const step = this.#slices.stepsToNext(this.#slice);
    if (step !== undefined) return step;
    // Jobs that are not read yet: their first reading was postponed, because too few files can be opened.
    return this.#due.size > 0 || this.#reader.hasWork() ? SLICES : undefined;
  }

  #readSlice(): void {
    // An end and a begin at once are found a second after the begin: see `#planNewJobs`.
    if (this.#reader.hasOtherJobs()) this.#compareJobs();
    this.#reader.beforeSlice();
    for (const key of this.#slices.at(this.#slice)) if (this.#isDue(key)) this.#due.add(key);
    if (this.#partTimer === undefined) this.#readPart();
  }

  /** While one job is in doubt, its slice has others that are not. */
  #isDue(key: string): boolean {
    if (this.#isHot() || this.#doubtful.size === 0 || this.#doubtful.has(key)) return true;
    const { hotMs, coldMs } = this.#intervals;
    return performance.now() - (this.#readMs.get(key) ?? 0) >= coldMs - hotMs / 2;
  }

  #compareJobs(): void {
    for (const key of this.#reader.compareJobs()) this.#due.add(key);
  }

  #planNewJobs(): void {
    this.#newJobsTimer ??= setTimeout(() => {
      this.#newJobsTimer = undefined;
      this.#postponed.attempt(() => this.#readNewJobs());
    }, NEW_JOB_MS).unref();
  }

  #readNewJobs(): void {
    for (const key of this.#readOnce) this.#due.add(key);
    this.#readOnce.clear();
    this.#compareJobs();
    if (this.#partTimer === undefined) this.#readPart();
  }

  #readPart(): void {
    const startMs = performance.now();
    const read = this.#reader.reading();
    for (const key of this.#due) {
      if (performance.now() - startMs > PART_MS) {
        this.#partTimer = setTimeout(() => {
          this.#partTimer = undefined;
          this.#postponed.attempt(() => this.#readPart());
        }, PAUSE_MS).unref();
        return;
      }
      this.#due.delete(key);
      read(key);
    }
  }
}
