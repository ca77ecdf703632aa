import { paceByIntent } from "./hindrance/pace.ts";
import type { JobUse } from "./jobUse.ts";

/** A live stream below this speed falls behind. Measuring over 15 s is not more exact. */
const MIN_LIVE_SPEED = 0.97;
/** A receiver that reads in time never leaves so much waiting. */
const MAX_BACKLOG_SECONDS = 1;
/** A quota that stops a job so often may make it too slow. */
const MAX_THROTTLED_PERCENT = 50;
/** The age from which the speed alone decides. Before, it includes the start, when a program fills its queues. */
const WHOLE_SPEED_MS = 15_000;

/** Returns whether a job may be too slow, so that it is worth reading often: a live one that falls behind, or its receiver. */
export function isInDoubt({
  job,
  media,
  network,
  pace: ofInput,
  rates,
}: Pick<JobUse, "job" | "media" | "network" | "pace" | "rates">): boolean {
  const { speed, lengthSeconds } = media;
  const pace = ofInput && paceByIntent(ofInput, job.intent);
  const isLive = pace === null ? lengthSeconds === null : pace.targetSpeed !== null;
  const isSlow = isLive && speed !== null && speed.factor < MIN_LIVE_SPEED * (pace?.targetSpeed ?? 1);
  const isThrottled = pace !== null && isLive && (rates?.throttledPercent ?? 0) >= MAX_THROTTLED_PERCENT;
  const isNew = speed === null || speed.overMs < WHOLE_SPEED_MS;
  return isSlow || (isThrottled && isNew) || (network?.sendBacklogSeconds ?? 0) >= MAX_BACKLOG_SECONDS;
}
