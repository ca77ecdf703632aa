import type { JobUse } from "./jobUse.ts";

/** A live stream below this speed falls behind. Measuring over 15 s is not more exact. */
const MIN_LIVE_SPEED = 0.97;
/** A receiver that reads in time never leaves so much waiting. */
const MAX_BACKLOG_SECONDS = 1;

/** Returns whether a job may be too slow, so that it is worth reading often: a live one that falls behind, or its receiver. */
export function isInDoubt({ media, network }: Pick<JobUse, "media" | "network">): boolean {
  const { speed, lengthSeconds } = media;
  const isSlow = lengthSeconds === null && speed !== null && speed.factor < MIN_LIVE_SPEED;
  return isSlow || (network?.sendBacklogSeconds ?? 0) >= MAX_BACKLOG_SECONDS;
}
