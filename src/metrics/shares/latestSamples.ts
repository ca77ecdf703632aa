import type { CpuSample } from "./need.ts";

const FIRST_CAPACITY = 16;
/** Seconds, cores and speed; NaN is an unknown speed. */
const NUMBERS = 3;

/** The latest samples of a job, as numbers one after the other: an object for each takes twice the memory. */
export class LatestSamples {
  readonly #max: number;
  #numbers = new Float64Array(NUMBERS * FIRST_CAPACITY);
  /** The number of all samples that were added. */
  #count = 0;

  /** `max`: the oldest one makes room for one more. */
  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return Math.min(this.#count, this.#max);
  }

  add({ seconds, cores, speed }: CpuSample): void {
    const place = NUMBERS * (this.#count % this.#max);
    if (place >= this.#numbers.length) this.#grow();
    this.#numbers[place] = seconds;
    this.#numbers[place + 1] = cores;
    this.#numbers[place + 2] = speed ?? Number.NaN;
    this.#count++;
  }

  /** Returns the samples, in no order. */
  list(): CpuSample[] {
    const at = (place: number) => this.#numbers[place] as number;
    return Array.from({ length: this.length }, (_, index) => {
      const speed = at(NUMBERS * index + 2);
      return {
        seconds: at(NUMBERS * index),
        cores: at(NUMBERS * index + 1),
        speed: Number.isNaN(speed) ? null : speed,
      };
    });
  }

  #grow(): void {
    const numbers = new Float64Array(Math.min(2 * this.#numbers.length, NUMBERS * this.#max));
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}
