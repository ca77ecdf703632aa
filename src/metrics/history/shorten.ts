import type { StoredHistory } from "./encoding.ts";
import { resample } from "./points.ts";

/** Merges the points of a history to at most `count`. */
export function shortenHistory(history: StoredHistory, count: number): StoredHistory {
  const [first, last] = [history.points[0], history.points.at(-1)];
  if (first === undefined || last === undefined || history.points.length <= count) return history;
  const pointMs = Math.max(history.pointMs, (last.endMs - first.startMs) / count);
  return { ...history, pointMs, points: resample(history.points, count) };
}
