import type { JobRecord } from "../../ledger/records.ts";
import type { Usage } from "../../limits/usage.ts";
import type { ProcessEvent, ProcessEvents, WatchedProcess } from "../../linux/events/processEvents.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { Context } from "../context.ts";
import { type Ending, endedUnknown, exitedWith, measureAtEnd } from "./recordExit.ts";

interface Observed {
  job: JobRecord;
  process: WatchedProcess;
  pidfd: number | undefined;
  /** What it had used when it was over; `undefined` before. */
  measured: Partial<Usage> | undefined;
}

/** What became of an observed job, and what it had used at the first sign of its end. */
export interface ObservedEnd {
  job: JobRecord;
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

  /** `pidfd` is ours to close from here on. The job must have a process on record. */
  observe(job: JobRecord, pidfd: number | undefined): void {
    const process = { pid: job.pid as number, startTicks: job.startTicks as number };
    this.#observed.set(nameOf(process), { job, process, pidfd, measured: undefined });
    this.#events.watchExit(process, pidfd ?? null);
  }

  /** Goes on with another source of events, when the one before has broken. */
  switchTo(events: ProcessEvents): void {
    this.#events = events;
    for (const { process, pidfd } of this.#observed.values()) events.watchExit(process, pidfd ?? null);
  }

  /** The jobs that are observed now, by their key. */
  jobs(): Map<string, JobRecord> {
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
  forget(job: JobRecord): void {
    for (const observed of this.#observed.values()) {
      if (observed.job.key !== job.key) continue;
      this.#events.unwatchExit(observed.process);
      this.#remove(observed);
    }
  }

  #takeExit(event: ProcessEvent & { kind: "exit" }): void {
    const observed = this.#observed.get(nameOf(event));
    if (!observed) return;
    const measured = this.#measure(observed);
    this.#remove(observed);
    const ending =
      event.waitStatus === null
        ? endedUnknown("exited", event.reason)
        : exitedWith(event.waitStatus, event.evidence);
    this.#onEnd({ job: observed.job, ending, measured });
  }

  #measure(observed: Observed | undefined): Partial<Usage> {
    if (!observed) return {};
    observed.measured ??= measureAtEnd(this.#context, observed.job);
    return observed.measured;
  }

  #remove({ process, pidfd }: Observed): void {
    this.#observed.delete(nameOf(process));
    if (pidfd !== undefined) closeFd(pidfd);
  }
}

function nameOf({ pid, startTicks }: WatchedProcess): string {
  return `${pid}:${startTicks}`;
}
