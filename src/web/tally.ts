import type { MetricSample } from "./exposition.ts";

/** Counts by the values of labels. */
export class Tally {
  readonly #labels: readonly string[];
  readonly #counts = new Map<string, { values: readonly string[]; count: number }>();

  constructor(labels: readonly string[]) {
    this.#labels = labels;
  }

  add(...values: string[]): void {
    const key = JSON.stringify(values);
    const entry = this.#counts.get(key) ?? { values, count: 0 };
    entry.count++;
    this.#counts.set(key, entry);
  }

  samples(): MetricSample[] {
    return [...this.#counts.values()].map(({ values, count }) => ({
      labels: Object.fromEntries(this.#labels.map((label, index) => [label, values[index] ?? ""])),
      value: count,
    }));
  }
}
