/** Faults of which no more are remembered: some contain numbers. */
const MAX_FAULTS = 100;

/** Tells the operator of each fault once, until it is over. A fault that lasts is found again and again. */
export class FaultLog {
  readonly #log: (text: string) => void;
  readonly #reported = new Set<string>();

  constructor(log: (text: string) => void) {
    this.#log = log;
  }

  report(text: string): void {
    if (this.#reported.has(text)) return;
    if (this.#reported.size >= MAX_FAULTS) this.#reported.clear();
    this.#reported.add(text);
    this.#log(text);
  }

  /** All works: a fault from now on is a new one. */
  clear(): void {
    this.#reported.clear();
  }
}

/** Returns what was thrown, as a text for the operator. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
