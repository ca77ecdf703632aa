import type { Speed } from "./speed.ts";

/** Returns the time that the rest takes at a speed. `null`: the rest or the speed is not known, or the speed is 0. */
export function remainingSecondsOf(
  { lengthSeconds, mediaSeconds }: { lengthSeconds: number | null; mediaSeconds: number | null },
  speed: Speed | null,
): number | null {
  if (lengthSeconds === null || mediaSeconds === null || !speed?.factor) return null;
  return Math.max(0, (lengthSeconds - mediaSeconds) / speed.factor);
}
