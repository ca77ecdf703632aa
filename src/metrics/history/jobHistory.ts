import type { JobReading } from "../jobReading.ts";
import { increasesBetween, type Reading } from "../rates.ts";
import { encodeHistory, type StoredHistory } from "./encoding.ts";
import { Ring } from "./ring.ts";

/** The length of the first points of a whole life: a sampler that nobody watches reads as often. */
const FIRST_POINT_MS = 10_000;

/** What one job has used, from its first reading on. */
export class JobHistory {
  readonly #life: Ring;
  #last: Reading | undefined;

  /** `stored`: what an earlier ffrtmp recorded of the job. The time in between becomes one point. */
  constructor(stored?: StoredHistory) {
    this.#life = new Ring("all", stored?.pointMs ?? FIRST_POINT_MS, stored?.points);
    this.#last = stored?.last;
  }

  record(reading: JobReading): void {
    const last = this.#last;
    if (last !== undefined && reading.atBootMs <= last.atBootMs) return;
    this.#last = reading;
    if (last === undefined) return;
    const { memory, processCount } = reading;
    this.#life.add({
      startMs: last.atBootMs,
      endMs: reading.atBootMs,
      counts: increasesBetween(last, reading),
      gauges: { memoryBytes: rangeOf(memory.bytes), processCount: rangeOf(processCount) },
    });
  }

  /** Returns what the ledger stores; `undefined` before there is a point. `at`: the same time by both clocks. */
  encode(at: StoredHistory["at"]): Uint8Array | undefined {
    const { points, pointMs } = this.#life;
    if (this.#last === undefined || points.length === 0) return undefined;
    return encodeHistory({ pointMs, points, last: this.#last, at });
  }
}

function rangeOf(value: number | null) {
  return value === null ? null : { min: value, max: value };
}
