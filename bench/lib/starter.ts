export type ToStarter = { start: string[] } | { end: number };

/** `execMs` is the time at which the process executed its program, ms since the epoch. */
export interface FromStarter {
  pid: number;
  execMs: number;
}

/**
 * Starts processes in a thread: on a busy machine, a start waits until the new process has had a CPU, and this program must
 * see meanwhile what becomes of the others. The thread has the scheduling of its creator, and its processes have ordinary one.
 */
export class Starter implements Disposable {
  readonly #worker = new Worker(new URL("./starterThread.ts", import.meta.url).href);

  constructor(onStarted: (started: FromStarter) => void) {
    this.#worker.onmessage = ({ data }: { data: FromStarter }) => onStarted(data);
  }

  start(cmd: string[]): void {
    this.#worker.postMessage({ start: cmd } satisfies ToStarter);
  }

  /** Ends a process that was started here. */
  end(pid: number): void {
    this.#worker.postMessage({ end: pid } satisfies ToStarter);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Returns the present time on the clock of `execMs`, with the resolution of performance.now(). */
export function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}
