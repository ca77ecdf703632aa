/** Random choices that a seed determines. */
export interface Random {
  /** At least 0, below 1. */
  fraction(): number;
  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number;
  happens(probability: number): boolean;
  oneOf<T>(choices: readonly T[]): T;
}

/** Returns random choices by mulberry32, which is small, fast and good enough to vary scenarios. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (min: number, max: number): number => min + Math.floor(fraction() * (max - min + 1));
  return {
    fraction,
    between,
    happens: (probability) => fraction() < probability,
    oneOf: (choices) => choices[between(0, choices.length - 1)] as never,
  };
}
