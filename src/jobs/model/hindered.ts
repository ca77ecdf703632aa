/** The causes that can hold a job back, in the order in which they are looked for. */
export const VERDICTS = [
  "receiver",
  "own_limit",
  "memory",
  "io",
  "gpu",
  "neighbours",
  "source",
  "itself",
] as const;
export type Verdict = (typeof VERDICTS)[number];

/** For how long a job was held back, as a daemon has said it. */
export interface HinderedTimes {
  /** A verdict that was never said is absent. */
  readonly secondsBy: Readonly<Partial<Record<Verdict, number>>>;
  /** The part of `own_limit` in which the job was live and the limit one of ours. */
  readonly starvedSeconds: number;
}

export const NEVER_HINDERED: HinderedTimes = { secondsBy: {}, starvedSeconds: 0 };

/** Returns `undefined` for a value that does not have the form that ffrtmp writes. */
export function parseHinderedTimes(value: unknown): HinderedTimes | undefined {
  const { secondsBy, starvedSeconds } = (value ?? {}) as Partial<HinderedTimes>;
  if (typeof starvedSeconds !== "number" || typeof secondsBy !== "object" || secondsBy === null)
    return undefined;
  return isSecondsBy(secondsBy) ? { secondsBy, starvedSeconds } : undefined;
}

/** Another version can have other verdicts. */
export function isSecondsBy(value: object): boolean {
  return Object.values(value).every((seconds) => typeof seconds === "number" && seconds >= 0);
}
