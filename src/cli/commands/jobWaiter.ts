import { openProcessHandle } from "../../jobs/attach/attach.ts";
import type { Context } from "../../jobs/context.ts";
import { JobObserver, type ObservedEnd } from "../../jobs/exit/jobObserver.ts";
import { recordExit } from "../../jobs/exit/recordExit.ts";
import type { JobResult } from "../../jobs/model/ending.ts";
import type { Job, RunningJob } from "../../jobs/model/job.ts";
import { isDaemonRunning, isObserved, repairJob } from "../../jobs/recovery/recover.ts";
import { survivorsLine } from "../../jobs/summary.ts";
import { watchLedgerFile } from "../../ledger/database.ts";
import { startExitEvents } from "../../linux/events/bestEvents.ts";
import type { ProcessEvents } from "../../linux/events/processEvents.ts";
import type { FileWatch } from "../../linux/fileWatch.ts";
import { watchContinuations } from "../../sys/ownSignals.ts";
import { warn } from "../output/messages.ts";

/** A detach changes only the ledger. Its file reports a change at once, unless it is on a network file system. */
const CHECK_INTERVAL_MS = 10_000;
/** The same where no inotify instance is left. */
const POLL_INTERVAL_MS = 1000;
/** The interval of checks whether the ffrtmp that should record a start or an end has died. */
const RETRY_MS = 500;

export interface WaitedEnd {
  job: Job;
  result: JobResult;
}

/**
 * Waits for the results of jobs, with or without an ffrtmp that observes them. Where none does, it records the end that it
 * sees. It never becomes the observer of a job, so that its own end changes nothing.
 */
export class JobWaiter {
  readonly #context: Context;
  readonly #onEnd: (end: WaitedEnd) => void;
  /** The jobs without a result, by key. */
  readonly #waiting: Map<string, Job>;
  /** The ends of processes that are not recorded yet. */
  readonly #ends = new Map<string, ObservedEnd>();
  readonly #isRecording = new Set<string>();
  readonly #observer: JobObserver;
  readonly #events: ProcessEvents;
  readonly #hasContinued: () => Promise<boolean>;
  readonly #watch: FileWatch | undefined;
  readonly #interval: ReturnType<typeof setInterval>;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #version: number | undefined;
  #isStopped = false;

  static async start(context: Context, jobs: Job[], onEnd: (end: WaitedEnd) => void): Promise<JobWaiter> {
    let observer: JobObserver | undefined;
    const events = await startExitEvents(context.host, (batch) => observer?.take(batch));
    const waiter = new JobWaiter(context, jobs, onEnd, events);
    observer = waiter.#observer;
    waiter.#checkAll();
    return waiter;
  }

  private constructor(context: Context, jobs: Job[], onEnd: (end: WaitedEnd) => void, events: ProcessEvents) {
    this.#context = context;
    this.#onEnd = onEnd;
    this.#events = events;
    this.#waiting = new Map(jobs.map((job) => [job.key, job]));
    this.#hasContinued = watchContinuations(context.host);
    this.#observer = new JobObserver(context, events, (end) => {
      this.#ends.set(end.job.key, end);
      void this.#check(end.job.key);
    });
    const { ledger } = context;
    this.#watch = watchLedgerFile(ledger.path, () => {
      const version = ledger.versionOfOthers();
      if (version !== this.#version) this.#checkAll();
      this.#version = version;
    });
    const intervalMs = this.#watch === undefined ? POLL_INTERVAL_MS : CHECK_INTERVAL_MS;
    this.#interval = setInterval(() => this.#checkAll(), intervalMs);
  }

  /** Ends the waiting. The kernel keeps counting a listener that exits without unregistering. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#interval);
    clearTimeout(this.#retry);
    this.#watch?.close();
    await this.#events.stop();
  }

  #checkAll(): void {
    for (const key of this.#waiting.keys()) void this.#check(key);
  }

  async #check(key: string): Promise<void> {
    if (this.#isStopped || !this.#waiting.has(key)) return;
    const job = this.#context.ledger.job(key);
    if (job === undefined || job.state === "ended") this.#finish(key, job);
    else if (job.state === "starting") {
      // Finishes the start, or records that there was none, where the ffrtmp that starts the job has died.
      if (repairJob(this.#context, job) === "closed") this.#finish(key, this.#context.ledger.job(key));
      else this.#retryLater();
    } else if (this.#ends.has(key)) await this.#settle(job);
    else this.#observe(job);
  }

  #observe(job: RunningJob): void {
    if (this.#observer.jobs().has(job.key)) return;
    const pidfd = openProcessHandle(this.#context.host, job.process);
    if (pidfd !== "gone") this.#observer.observe(job, pidfd);
    else if (repairJob(this.#context, job) === "closed")
      this.#finish(job.key, this.#context.ledger.job(job.key));
    else this.#retryLater();
  }

  /** Leaves the result to the observer of the job or to the daemon, which may know more, while one of them lives. */
  async #settle(job: RunningJob): Promise<void> {
    const end = this.#ends.get(job.key);
    if (end === undefined || this.#isRecording.has(job.key)) return;
    if (isObserved(this.#context, job) || isDaemonRunning(this.#context)) {
      this.#retryLater();
      return;
    }
    this.#isRecording.add(job.key);
    const time = (await this.#hasContinued()) ? "unseen" : end.time;
    const { survivors } = recordExit(this.#context, job, end.ending, { atEnd: end.measured, time });
    if (survivors.length > 0) warn(survivorsLine(job, survivors));
    this.#finish(job.key, this.#context.ledger.job(job.key));
  }

  #finish(key: string, recorded: Job | undefined): void {
    const job = recorded ?? this.#waiting.get(key);
    const result = this.#context.ledger.result({ key });
    if (job === undefined || result === undefined) {
      this.#retryLater();
      return;
    }
    this.#observer.forget(job);
    this.#waiting.delete(key);
    this.#onEnd({ job, result });
  }

  #retryLater(): void {
    if (this.#isStopped) return;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#checkAll();
    }, RETRY_MS);
  }
}
