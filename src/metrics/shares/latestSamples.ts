import type { CpuSample, SampleNumbers } from "./need.ts";

const FIRST_CAPACITY = 16;

/** The latest samples of a job, as numbers: an object for each takes twice the memory. */
export class LatestSamples {
  readonly #max: number;
  #seconds = new Float64Array(FIRST_CAPACITY);
  #cores = new Float64Array(FIRST_CAPACITY);
  #speeds = new Float64Array(FIRST_CAPACITY);
  /** Of all that were added. */
  #count = 0;

  /** `max`: the oldest one makes room for one more. */
  constructor(max: number) {
    this.#max = max;
  }

  get length(): number {
    return Math.min(this.#count, this.#max);
  }

  add({ seconds, cores, speed }: CpuSample): void {
    const place = this.#count % this.#max;
    if (place >= this.#seconds.length) this.#grow();
    this.#seconds[place] = seconds;
    this.#cores[place] = cores;
    this.#speeds[place] = speed ?? Number.NaN;
    this.#count++;
  }

  /** Returns the samples, in no order. The next one that is added can change them. */
  numbers(): SampleNumbers {
    const known = (numbers: Float64Array) => numbers.subarray(0, this.length);
    return { seconds: known(this.#seconds), cores: known(this.#cores), speeds: known(this.#speeds) };
  }

  #grow(): void {
    const longer = (numbers: Float64Array) => {
      const grown = new Float64Array(Math.min(2 * numbers.length, this.#max));
      grown.set(numbers);
      return grown;
    };
    this.#seconds = longer(this.#seconds);
    this.#cores = longer(this.#cores);
    this.#speeds = longer(this.#speeds);
  }
}
