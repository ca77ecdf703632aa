import { type HinderedTimes, NEVER_HINDERED } from "../../jobs/model/hindered.ts";
import type { Hindrance } from "./hindrance.ts";

/** The change that a sample has brought. With both keys, one cause has replaced the other. */
export interface HindranceChange {
  readonly began?: Hindrance;
  /** As it was said last. */
  readonly ended?: Hindrance;
}

/** Adds up for how long a job was held back by each cause. */
export class HinderedTotals {
  /** `undefined`: the job could not be judged yet. */
  #closed: HinderedTimes | undefined;
  #current: Hindrance | null = null;

  /** `before`: what an earlier daemon has added up. */
  constructor(before?: HinderedTimes) {
    this.#closed = before;
  }

  /** `isJudged`: what is known of the job allows a verdict. */
  add(hindrance: Hindrance | null, isJudged: boolean): HindranceChange {
    if (isJudged) this.#closed ??= NEVER_HINDERED;
    const before = this.#current;
    this.#current = hindrance;
    const isSame = before?.verdict === hindrance?.verdict && before?.sinceMs === hindrance?.sinceMs;
    if (isSame) return {};
    if (before !== null) this.#closed = added(this.#closed, before);
    return {
      ...(hindrance === null ? {} : { began: hindrance }),
      ...(before === null ? {} : { ended: before }),
    };
  }

  /** Returns the times until now. `undefined`: not known. */
  get times(): HinderedTimes | undefined {
    return this.#current === null ? this.#closed : added(this.#closed, this.#current);
  }
}

function added(
  times: HinderedTimes = NEVER_HINDERED,
  { verdict, forMs, isLive, limit }: Hindrance,
): HinderedTimes {
  const seconds = Math.round(forMs / 100) / 10;
  const isStarved = verdict === "own_limit" && isLive && limit !== null;
  return {
    secondsBy: { ...times.secondsBy, [verdict]: sumOf(times.secondsBy[verdict] ?? 0, seconds) },
    starvedSeconds: sumOf(times.starvedSeconds, isStarved ? seconds : 0),
  };
}

/** Tenths of seconds without the errors of binary fractions. */
function sumOf(a: number, b: number): number {
  return Math.round(10 * (a + b)) / 10;
}
