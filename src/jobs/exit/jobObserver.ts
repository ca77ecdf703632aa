import type { Usage } from "../../limits/usage.ts";
import type { ProcessEvent, ProcessEvents, WatchedProcess } from "../../linux/events/processEvents.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { Context } from "../context.ts";
import { type Ending, endingOfStatus } from "../model/ending.ts";
import type { Job, RunningJob } from "../model/job.ts";
import { measureAtEnd } from "./recordExit.ts";

interface Observed {
  job: RunningJob;
  pidfd: number | undefined;
  /** What it had used when it was over; `undefined` before. */
  measured: Partial<Usage> | undefined;
}

/** What became of an observed job, and what it had used at the first sign of its end. */
export interface ObservedEnd {
  job: RunningJob;
  ending: Ending;
  measured: Partial<Usage>;
}

/** Waits for the ends of jobs whose parent we are not. Sends them nothing. */
export class JobObserver {
  readonly #context: Context;
  readonly #onEnd: (end: ObservedEnd) => void;
  readonly #observed = new Map<string, Observed>();
  #events: ProcessEvents;

  constructor(context: Context, events: ProcessEvents, onEnd: (end: ObservedEnd) => void) {
    this.#context = context;
    this.#events = events;
    this.#onEnd = onEnd;
  }

  /** Waits for the job's end. Closes `pidfd` when it is no longer needed. */
  observe(job: RunningJob, pidfd: number | undefined): void {
    this.#observed.set(nameOf(job.process), { job, pidfd, measured: undefined });
    this.#events.watchExit(job.process, pidfd ?? null);
  }

  /** Replaces what is known of an observed job. Does nothing for another job. */
  update(job: RunningJob): void {
    const observed = this.#observed.get(nameOf(job.process));
    if (observed?.job.key === job.key) observed.job = job;
  }

  /** Goes on with another source of events, when the one before has broken. */
  switchTo(events: ProcessEvents): void {
    this.#events = events;
    for (const { job, pidfd } of this.#observed.values()) events.watchExit(job.process, pidfd ?? null);
  }

  /** The jobs that are observed now, by their key. */
  jobs(): Map<string, RunningJob> {
    return new Map([...this.#observed.values()].map(({ job }) => [job.key, job]));
  }

  /** Takes what the events brought; anything but the end of an observed process is none of its business. */
  take(batch: ProcessEvent[]): void {
    for (const event of batch) {
      if (event.kind === "over") this.#measure(this.#observed.get(nameOf(event)));
      else if (event.kind === "exit") this.#takeExit(event);
    }
  }

  /** The job goes on, or has been closed by somebody else. */
  forget(job: Pick<Job, "key">): void {
    for (const observed of this.#observed.values()) {
      if (observed.job.key !== job.key) continue;
      this.#events.unwatchExit(observed.job.process);
      this.#remove(observed);
    }
  }

  #takeExit(event: ProcessEvent & { kind: "exit" }): void {
    const observed = this.#observed.get(nameOf(event));
    if (!observed) return;
    const measured = this.#measure(observed);
    this.#remove(observed);
    const ending: Ending =
      event.waitStatus === null
        ? { kind: "exit-unknown", reason: event.reason }
        : endingOfStatus(event.waitStatus, event.evidence);
    this.#onEnd({ job: observed.job, ending, measured });
  }

  #measure(observed: Observed | undefined): Partial<Usage> {
    if (!observed) return {};
    observed.measured ??= measureAtEnd(this.#context, observed.job);
    return observed.measured;
  }

  #remove({ job, pidfd }: Observed): void {
    this.#observed.delete(nameOf(job.process));
    if (pidfd !== undefined) closeFd(pidfd);
  }
}

function nameOf({ pid, startTicks }: WatchedProcess): string {
  return `${pid}:${startTicks}`;
}
