import type { Context } from "../jobs/context.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { KeptFiles } from "../linux/cgroup/keptFiles.ts";
import { gpuOf } from "../metrics/gpu/gpuUse.ts";
import { HinderedTotals, type HindranceChange } from "../metrics/hindrance/hinderedTotals.ts";
import type { Hindrance } from "../metrics/hindrance/hindrance.ts";
import { HindranceJudge } from "../metrics/hindrance/hindranceJudge.ts";
import { decodeHistory, encodeHistory, type StoredHistory } from "../metrics/history/encoding.ts";
import { JobHistory, RINGS, type RingName } from "../metrics/history/jobHistory.ts";
import { isInDoubt } from "../metrics/inDoubt.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { MeasuredUse } from "../metrics/measuredUse.ts";
import { NO_MEDIA } from "../metrics/media/mediaReader.ts";
import { type JobSample, JobSampler, NO_DEVICES } from "../metrics/sampler.ts";
import { JobNeeds } from "../metrics/shares/jobNeeds.ts";
import { cpuSampleOf } from "../metrics/shares/need.ts";
import { placeOf } from "../metrics/shares/sureCores.ts";
import { EndedUses } from "./endedUses.ts";
import type { Meter } from "./meter/meterClient.ts";
import type { PostponedWork } from "./postponedWork.ts";
import { type Intervals, ReadingSchedule } from "./readingSchedule.ts";
import { UsageRecords } from "./usageRecords.ts";

const INTERVALS: Intervals = { hotMs: 1000, coldMs: 10_000 };
const SAVE_INTERVAL_MS = 300_000;

interface Observed {
  job: RunningJob;
  readonly history: JobHistory;
  readonly hindered: HinderedTotals;
  /** The last one. */
  sample?: JobSample;
  /** As of that sample. */
  hindrance: Hindrance | null;
  /** By `performance.now()`. */
  nextSaveMs: number;
}

interface HistoriesOptions {
  /** The time for which a cause must last before it is reported; 30 s by default. */
  readonly holdMs?: number;
  /** Something begins or ceases to hold a job back. */
  readonly onHindrance?: (job: RunningJob, change: HindranceChange) => void;
  /** Gets each reading of a job. */
  readonly onRead?: (use: JobUse) => void;
  /** Gets the key of a job that is not read any more: it has ended, or is not observed here any more. */
  readonly onDrop?: (key: string) => void;
}

type HistoriesContext = Context & { postponed: Pick<PostponedWork, "attempt">; meter: Meter };

/**
 * Reads every observed job again and again, and keeps what it used during its life. The ledger gets that every few minutes
 * and at the end, so that a daemon that dies loses little. No timer runs while there is no job.
 */
export class UsageHistories {
  readonly #context: HistoriesContext;
  readonly #listJobs: () => ReadonlyMap<string, RunningJob>;
  readonly #onRead: (use: JobUse) => void;
  readonly #onDrop: (key: string) => void;
  readonly #sampler: JobSampler;
  readonly #needs = new JobNeeds();
  readonly #observed = new Map<string, Observed>();
  readonly #ended = new EndedUses();
  readonly #schedule: ReadingSchedule;
  readonly #records: UsageRecords;
  readonly #judge: HindranceJudge;
  readonly #onHindrance: (job: RunningJob, change: HindranceChange) => void;

  /** `listJobs` returns the jobs that are observed now, by key. */
  constructor(
    context: HistoriesContext,
    listJobs: () => ReadonlyMap<string, RunningJob>,
    intervals = INTERVALS,
    { holdMs, onHindrance = () => {}, onRead = () => {}, onDrop = () => {} }: HistoriesOptions = {},
  ) {
    this.#judge = new HindranceJudge(context.host, holdMs);
    this.#onHindrance = onHindrance;
    this.#context = context;
    this.#records = new UsageRecords(context.ledger);
    this.#listJobs = listJobs;
    this.#onRead = onRead;
    this.#onDrop = onDrop;
    this.#sampler = new JobSampler(context, {
      // They change slowly and take long to read. A timer is not exact, so half an interval early is in time.
      detailsEveryMs: intervals.coldMs - intervals.hotMs / 2,
      files: new KeptFiles(),
      devices: NO_DEVICES,
    });
    const reader = {
      hasOtherJobs: () => this.#listJobs().size !== this.#observed.size,
      compareJobs: () => this.#compareJobs(),
      beforeSlice: () => this.#records.saveAgain(),
      reading: () => this.#reading(),
      hasWork: () => this.#records.waiting + this.#listJobs().size > 0,
    };
    this.#schedule = new ReadingSchedule(intervals, reader, context.postponed);
  }

  /** Call it when a job is observed. */
  wake(): void {
    this.#schedule.wake();
  }

  /** Returns the cores that an observed job used in each 5 s of the last 2 minutes, oldest first. */
  recentCoresOf(key: string): readonly (number | null)[] {
    return this.#observed.get(key)?.history.recentCores() ?? [];
  }

  /**
   * Returns what each job uses, as it was read last: at most 10 s ago, or 1 s while `keepFresh` is called. Measures nothing.
   * The network and the media time, which the meter reads, are unknown where it does not answer.
   */
  uses(): JobUse[] {
    return [...this.#observed.values()].flatMap((observed) => this.#useOf(observed) ?? []);
  }

  /** Returns what the jobs used that have ended in the last minutes, as they were read last, the latest last. */
  endedUses(): JobUse[] {
    return this.#ended.list();
  }

  /** Reads all jobs each second for the next 5 s, or for this long. */
  keepFresh(forMs?: number): void {
    this.#schedule.keepFresh(forMs);
  }

  /** Returns what an observed job has used; no ring before there is a point. */
  ringsOf(key: string): Partial<Record<RingName, StoredHistory>> {
    const history = this.#observed.get(key)?.history;
    const at = this.#now();
    return Object.fromEntries(
      RINGS.flatMap((name) => {
        const ring = history?.ring(at, name);
        return ring === undefined ? [] : [[name, ring]];
      }),
    );
  }

  /** Returns what an observed job has used, each ring in the stored form and Base64; empty before there is a point. */
  encodedRingsOf(key: string): Partial<Record<RingName, string>> {
    const rings = Object.entries(this.ringsOf(key));
    return Object.fromEntries(rings.map(([name, ring]) => [name, encodeHistory(ring).toBase64()]));
  }

  /** Reads a job a last time, before its cgroup is removed, and records its history. */
  finish(job: RunningJob): void {
    const observed = this.#observed.get(job.key);
    if (observed === undefined) return;
    observed.job = job;
    this.#judgeJob(observed, this.#read(observed));
    this.#drop(observed);
  }

  /** Records the histories of all jobs, and reads no more. */
  stop(): void {
    this.#schedule.stop();
    for (const observed of [...this.#observed.values()]) this.#drop(observed);
    this.#records.saveAgain();
  }

  /** Drops the jobs that other processes have ended, and returns the keys of the new ones. */
  #compareJobs(): string[] {
    const jobs = this.#listJobs();
    const added: string[] = [];
    for (const key of jobs.keys()) if (!this.#observed.has(key)) added.push(key);
    if (jobs.size - added.length === this.#observed.size) return added;
    for (const [key, observed] of this.#observed) if (!jobs.has(key)) this.#drop(observed);
    return added;
  }

  #reading(): (key: string) => void {
    const jobs = this.#listJobs();
    return (key) => {
      const [observed, job] = [this.#observed.get(key), jobs.get(key)];
      if (observed === undefined) {
        if (job !== undefined) this.#add(job);
      } else if (job === undefined) this.#drop(observed);
      else {
        // Its record may have changed.
        observed.job = job;
        this.#readDue(observed);
      }
    };
  }

  #readDue(observed: Observed): void {
    const measured = this.#read(observed);
    const change = this.#judgeJob(observed, measured);
    this.#askMeter(observed, measured);
    if (change.began ?? change.ended) this.#onHindrance(observed.job, change);
    const nowMs = performance.now();
    // The observer of the job may be another ffrtmp, which records the result with what is saved.
    if (change.began === undefined && change.ended === undefined && observed.nextSaveMs > nowMs) return;
    this.#save(observed);
    observed.nextSaveMs = nowMs + SAVE_INTERVAL_MS;
  }

  #add(job: RunningJob): void {
    const stored = this.#context.ledger.usageHistory(job);
    const history = new JobHistory(stored && decodeHistory(stored));
    const hindered = new HinderedTotals(this.#context.ledger.hinderedTimes(job));
    const nextSaveMs = performance.now() + SAVE_INTERVAL_MS;
    const observed: Observed = { job, history, hindered, hindrance: null, nextSaveMs };
    this.#observed.set(job.key, observed);
    this.#schedule.add(job.key);
    this.#askMeter(observed, this.#read(observed));
  }

  #judgeJob(observed: Observed, measured: MeasuredUse): HindranceChange {
    observed.hindrance = this.#judge.judge(measured, this.#context.meter.devices() ?? []);
    return observed.hindered.add(observed.hindrance, measured.pace !== null);
  }

  #askMeter({ job, hindrance }: Observed, measured: MeasuredUse): void {
    const { key } = job;
    const use = this.#completed(measured, hindrance);
    const place = placeOf(job, this.#context.hierarchies);
    this.#context.meter.ask({ key, pids: use.details.pids, place });
    this.#needs.record(job, cpuSampleOf(use, use.media));
    this.#onRead(use);
    // By the answer before, which has arrived by now.
    this.#schedule.setDoubt(key, isInDoubt(use));
  }

  #useOf({ sample, hindrance }: Observed): JobUse | undefined {
    return sample && this.#completed(this.#measuredOf(sample), hindrance);
  }

  /** Adds the last answer of the meter: the next one comes too late for this sample. */
  #measuredOf(sample: JobSample): MeasuredUse {
    const { meter } = this.#context;
    const { network = null, media = NO_MEDIA, pace = null } = meter.readingOf(sample.job.key) ?? {};
    const gpu = gpuOf(meter.devices() ?? [], sample.details.pids) ?? null;
    return { ...sample, network, media, pace, gpu };
  }

  #completed(measured: MeasuredUse, hindrance: Hindrance | null): JobUse {
    const { job } = measured;
    const { sureCores = null } = this.#context.meter.readingOf(job.key) ?? {};
    return { ...measured, hindrance, shares: { sureCores, need: this.#needs.needOf(job) } };
  }

  #drop(observed: Observed): void {
    const { key } = observed.job;
    const use = this.#useOf(observed);
    if (use !== undefined) this.#ended.add(use);
    this.#save(observed);
    this.#observed.delete(key);
    this.#sampler.forget(key);
    this.#judge.forget([key]);
    this.#schedule.delete(key);
    this.#needs.forget(key);
    this.#context.meter.forget(key);
    this.#onDrop(key);
  }

  #read(observed: Observed): MeasuredUse {
    this.#schedule.markRead(observed.job.key);
    observed.sample = this.#sampler.sampleOne(observed.job);
    const measured = this.#measuredOf(observed.sample);
    observed.history.record(measured);
    return measured;
  }

  #save({ job, history, hindered }: Observed): void {
    const points = history.encode(this.#now());
    this.#records.save(job, points && { points, hindered: hindered.times });
  }

  #now() {
    const { host } = this.#context;
    return { wallMs: host.now(), bootMs: host.bootNow() };
  }
}
