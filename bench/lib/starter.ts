export type ToStarter = { start: string[] } | { end: number } | "end all";

/** The answer to "end all". */
export type AllEnded = "all ended";

/** `execMs` is the time at which the process executed its program, ms since the epoch. */
export interface FromStarter {
  pid: number;
  execMs: number;
}

/**
 * Starts processes in a thread: on a busy machine, a start waits until the new process has had a CPU, and this program must
 * see meanwhile what becomes of the others. The thread has the scheduling of its creator, and its processes have ordinary one.
 */
export class Starter implements AsyncDisposable {
  readonly #worker = new Worker(new URL("./starterThread.ts", import.meta.url).href);
  readonly #allEnded = Promise.withResolvers<void>();

  constructor(onStarted: (started: FromStarter) => void) {
    this.#worker.onmessage = ({ data }: { data: FromStarter | AllEnded }) => {
      if (data === "all ended") this.#allEnded.resolve();
      else onStarted(data);
    };
  }

  start(cmd: string[]): void {
    this.#worker.postMessage({ start: cmd } satisfies ToStarter);
  }

  /** Ends a process that was started here. */
  end(pid: number): void {
    this.#worker.postMessage({ end: pid } satisfies ToStarter);
  }

  /** Ends what still runs, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.postMessage("end all" satisfies ToStarter);
    await this.#allEnded.promise;
    this.#worker.terminate();
  }
}

/** Returns the present time on the clock of `execMs`, with the resolution of performance.now(). */
export function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}
