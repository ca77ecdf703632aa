import { errnoName } from "../sys/errno.ts";
import {
  hasOrdinaryScheduling,
  setOrdinaryScheduling,
  setRealtimeScheduling,
  setRealtimeSchedulingOfAllThreads,
} from "../sys/scheduling.ts";

/**
 * `realtime`: the daemon finds and limits new processes ahead of all busy programs. `unchanged`: it is scheduled as it was
 * started.
 */
export type SchedulingChoice = "realtime" | "unchanged";

/**
 * The scheduling of `watch`. Its threads are real-time: those of the runtime too, for which the main thread waits. The main
 * thread is ordinary during its long work (`inBackground`), which must not keep workloads from a CPU, unless a new process
 * waits meanwhile to be judged and limited (`hurry`).
 */
export class DaemonScheduling {
  readonly isRealtime: boolean;
  /** Why it is wanted and not used: a reason, or the errno with which the kernel refused it. */
  readonly refused: string | undefined;
  #background = 0;
  /** As this thread has set it last. The event thread raises it only before an event that leads to `hurry`. */
  #isRaised: boolean;
  #urgent = 0;

  /**
   * Call this on the main thread before the signal filter, which allows no change of other threads. `findDanger` returns why
   * real-time threads would harm others.
   */
  constructor(choice: SchedulingChoice, findDanger: () => string | undefined = () => undefined) {
    // A policy that the operator has set for this process stays.
    const isWanted = choice === "realtime" && hasOrdinaryScheduling();
    const danger = isWanted ? findDanger() : undefined;
    const isTried = isWanted && danger === undefined;
    const result = isTried ? setRealtimeSchedulingOfAllThreads() : 0;
    this.isRealtime = isTried && result === 0;
    this.#isRaised = this.isRealtime;
    this.refused = result < 0 ? errnoName(result) : danger;
  }

  /** Runs long work, until its promise is settled where it returns one. */
  inBackground<T>(action: () => T): T {
    this.#background++;
    this.#apply();
    const end = () => {
      this.#background--;
      this.#apply();
    };
    try {
      const result = action();
      if (!(result instanceof Promise)) return result;
      this.#background++;
      return result.finally(end) as T;
    } finally {
      end();
    }
  }

  /** Runs the judgement of a new process. The event thread may have raised the priority of this one already. */
  async hurry<T>(action: () => Promise<T>): Promise<T> {
    this.#urgent++;
    this.#apply();
    try {
      return await action();
    } finally {
      this.#urgent--;
      this.#apply();
    }
  }

  #apply(): void {
    const isRaised = this.isRealtime && (this.#urgent > 0 || this.#background === 0);
    if (isRaised === this.#isRaised) return;
    this.#isRaised = isRaised;
    if (isRaised) setRealtimeScheduling();
    else setOrdinaryScheduling();
  }
}
