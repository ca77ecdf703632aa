import type { Hindrance } from "./hindrance/hindrance.ts";
import type { JobUse } from "./jobUse.ts";
import type { JobMedia } from "./media/mediaReader.ts";
import { remainingSecondsOf } from "./media/remaining.ts";

/** Findings that need a longer observation of a job. */
export interface Findings {
  readonly media: JobMedia;
  readonly hindrance: Hindrance | null;
}

/** Completes a measurement with what another observer has found over a longer time. What was measured here stays. */
export function withFindings(use: JobUse, { media, hindrance }: Findings): JobUse {
  return { ...use, media: betterMedia(use.media, media), hindrance: use.hindrance ?? hindrance };
}

/** The place is the one measured here, where both have it from the same source: the other one can be 10 s old. */
function betterMedia(own: JobMedia, known: JobMedia): JobMedia {
  const { speed } = known;
  if (own.speed !== null || speed === null) return own;
  if (own.source !== known.source) return known;
  const state = own.state === "finishing" ? own.state : known.state;
  return { ...own, speed, state, remainingSeconds: remainingSecondsOf(own, speed) };
}
