import { expect, test } from "bun:test";
import { fakeSnapshot } from "../../../bench/lib/fakeSnapshot.ts";
import type { JobView } from "./data.ts";
import { markOf, memoryLimitOf, sortJobs } from "./jobTable.tsx";

const [SOME_JOB] = fakeSnapshot(1, 0).jobs as [JobView];

/** `minute`: when it was started, or when what holds it back began. */
function job(jobId: string, minute: number, hindrance?: "live" | "file"): JobView {
  const time = `2026-11-27T12:${String(minute).padStart(2, "0")}:00.000Z`;
  const held = { text: "held back", since: time, live: hindrance === "live" };
  const use = { ...SOME_JOB.use, hindrance: hindrance === undefined ? null : held };
  return { ...SOME_JOB, job_id: jobId, start_time: time, use: use as unknown as JobView["use"] };
}

test("streams that fall behind come first, then jobs that take longer, then the others by age", () => {
  const jobs = [
    job("free-new", 9),
    job("file-held", 2, "file"),
    job("live-held-lately", 5, "live"),
    job("free-old", 1),
    job("live-held-long", 3, "live"),
  ];
  expect(sortJobs(jobs).map(({ job_id: id }) => id)).toEqual([
    "live-held-long",
    "live-held-lately",
    "file-held",
    "free-old",
    "free-new",
  ]);
});

test("a mark has words, and only a stream that falls behind alarms", () => {
  expect(markOf(job("a", 1, "live"))).toEqual(["▲", "hindered", "warn"]);
  expect(markOf(job("a", 1, "file"))).toEqual(["△", "takes longer", ""]);
  expect(markOf(job("a", 1))).toEqual(["●", "running", "good"]);
  expect(markOf({ ...job("a", 1), use: null })).toEqual(["○", "not measured yet", ""]);
});

test("the limit of memory is the one that is reached first", () => {
  const limitOf = (high: number | null, max: number | null) =>
    memoryLimitOf({
      ...SOME_JOB,
      limits_in_force: { ...SOME_JOB.limits_in_force, memory_high_bytes: high, memory_max_bytes: max },
    });
  expect([limitOf(1, 2), limitOf(3, 2), limitOf(null, 2), limitOf(1, null), limitOf(null, null)]).toEqual([
    1,
    2,
    2,
    1,
    null,
  ]);
});
