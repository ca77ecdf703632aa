import type { Usage } from "../../limits/usage.ts";
import type { ProcessEvent, ProcessEvents, WatchedProcess } from "../../linux/events/processEvents.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { Context } from "../context.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import type { Job, RunningJob } from "../model/job.ts";
import { type EndTime, measureAtEnd } from "./recordExit.ts";

interface Observed {
  job: RunningJob;
  pidfd: number | undefined;
  /** The process had not ended before it was observed. */
  wasAlive: boolean;
  /** The time of the job's end and its usage then; `undefined` before. */
  end: Pick<ObservedEnd, "time" | "measured"> | undefined;
}

/** The end of an observed job, with the time and its usage at the first sign of the end. */
export interface ObservedEnd {
  job: RunningJob;
  ending: Ending;
  time: EndTime;
  measured: Partial<Usage>;
}

/** Waits for the ends of jobs that are not children of this process. Sends them nothing. */
export class JobObserver {
  readonly #context: Context;
  readonly #onEnd: (end: ObservedEnd) => void;
  readonly #observed = new Map<string, Observed>();
  /** The same jobs by their key. They are asked for each time that a sampler reads some of them. */
  readonly #jobs = new Map<string, RunningJob>();
  #events: ProcessEvents;

  constructor(context: Context, events: ProcessEvents, onEnd: (end: ObservedEnd) => void) {
    this.#context = context;
    this.#events = events;
    this.#onEnd = onEnd;
  }

  /** Waits for the job's end. Closes `pidfd` when it is no longer needed. Without `wasAlive` its process may have ended. */
  observe(job: RunningJob, pidfd: number | undefined, { wasAlive = true } = {}): void {
    const name = nameOf(job.process);
    const before = this.#observed.get(name);
    if (before !== undefined) this.#jobs.delete(before.job.key);
    this.#observed.set(name, { job, pidfd, wasAlive, end: undefined });
    this.#jobs.set(job.key, job);
    // This ends the watch of the descriptor before, which can be closed then.
    this.#events.watchExit(job.process, pidfd ?? null);
    if (before?.pidfd !== undefined && before.pidfd !== pidfd) closeFd(before.pidfd);
  }

  /** Replaces the recorded state of an observed job. Does nothing for another job. */
  update(job: RunningJob): void {
    const observed = this.#observed.get(nameOf(job.process));
    if (observed?.job.key !== job.key) return;
    observed.job = job;
    this.#jobs.set(job.key, job);
  }

  /** Uses another source of events after the one before has failed. */
  switchTo(events: ProcessEvents): void {
    this.#events = events;
    for (const { job, pidfd } of this.#observed.values()) events.watchExit(job.process, pidfd ?? null);
  }

  /** Returns the jobs that are observed, by their key: a view that changes with them. */
  jobs(): ReadonlyMap<string, RunningJob> {
    return this.#jobs;
  }

  /** Returns whether a job is observed by a pidfd, which names its process however the pid is reused. */
  hasPidfd(key: string): boolean {
    return this.#observed.values().some(({ job, pidfd }) => job.key === key && pidfd !== undefined);
  }

  /** Handles the ends of observed processes, and ignores all other events. */
  take(batch: ProcessEvent[]): void {
    for (const event of batch) {
      if (event.kind !== "over" && event.kind !== "exit") continue;
      const observed = this.#observed.get(nameOf(event));
      if (!observed) continue;
      observed.end ??= this.#measure(observed);
      if (event.kind === "over") continue;
      this.#remove(observed);
      const ending: Ending =
        event.waitStatus === null
          ? { kind: "exit-unknown", reason: event.reason }
          : endingOfStatus(event.waitStatus, event.evidence);
      this.#onEnd({ job: observed.job, ending, ...observed.end });
    }
  }

  /** Stops observing a job that another ffrtmp has ended, or that continues without an observer. */
  forget({ key }: Pick<Job, "key">): void {
    for (const observed of this.#observed.values()) {
      if (observed.job.key !== key) continue;
      this.#events.unwatchExit(observed.job.process);
      this.#remove(observed);
    }
  }

  #measure({ job, wasAlive }: Observed): Pick<ObservedEnd, "time" | "measured"> {
    const { host } = this.#context;
    const time = wasAlive ? { wallMs: host.now(), bootMs: host.bootNow() } : "unseen";
    return { time, measured: measureAtEnd(this.#context, job) };
  }

  #remove({ job, pidfd }: Observed): void {
    this.#observed.delete(nameOf(job.process));
    this.#jobs.delete(job.key);
    if (pidfd !== undefined) closeFd(pidfd);
  }
}

function nameOf({ pid, startTicks }: WatchedProcess): string {
  return `${pid}:${startTicks}`;
}
