import { isStuck } from "./jobTexts.ts";
import { coresOf, type ScreenData, type ScreenJob } from "./screenData.ts";
import type { Order, ScreenState } from "./state.ts";

/** Jobs change their places when their averages do, and not with each measurement. */
const AVERAGE_MS = 15_000;

/** Returns the jobs that pass the filter, in the order of the state. Live jobs that are held back come first, then those that are stuck, then others that are held back. */
export function listedJobs(
  { jobs, atBootMs }: Pick<ScreenData, "jobs" | "atBootMs">,
  { order, filter }: ScreenState,
): ScreenJob[] {
  const wanted = filter.toLowerCase();
  const listed = jobs.filter(({ host, job, command }) =>
    [host ?? "", job.jobId, job.tenant ?? "", command.join(" ")].some((text) =>
      text.toLowerCase().includes(wanted),
    ),
  );
  const rank = (row: ScreenJob) =>
    row.use.hindrance?.live ? 0 : isStuck(row) ? 1 : row.hindrance !== null ? 2 : 3;
  const amounts = new Map(listed.map((row) => [row, amountOf(row, order, atBootMs)]));
  const byAmount = (a: ScreenJob, b: ScreenJob) => (amounts.get(b) ?? 0) - (amounts.get(a) ?? 0);
  const byTenant = (a: ScreenJob, b: ScreenJob) =>
    order === "tenant" ? (a.job.tenant ?? "").localeCompare(b.job.tenant ?? "") : 0;
  return listed.sort(
    (a, b) =>
      rank(a) - rank(b) ||
      byTenant(a, b) ||
      byAmount(a, b) ||
      a.job.jobId.localeCompare(b.job.jobId) ||
      (a.host ?? "").localeCompare(b.host ?? ""),
  );
}

/** Returns the amount by which a job is sorted, the largest first; what is unknown comes last. */
function amountOf({ track, use }: ScreenJob, order: Order, atBootMs: number): number {
  const rounded = (value: number) => Math.round(20 * value);
  switch (order) {
    case "cpu":
      return rounded(track.averageOf("cores", atBootMs, AVERAGE_MS) ?? coresOf(use) ?? -1);
    case "memory":
      return use.memory_bytes ?? -1;
    case "speed":
      // The slowest first.
      return -rounded(use.media.speed ?? Number.MAX_SAFE_INTEGER);
    case "job":
    case "tenant":
      return 0;
  }
}
