import { expect, test } from "bun:test";
import { governorFamilies } from "./governorMetrics.ts";

test("the quotas of the governor have series by job, up to the limit, and none where another quota is as tight", () => {
  const quotas = [
    { jobId: "hd", quotaCores: 0.6 },
    { jobId: "own", quotaCores: null },
    { jobId: "late", quotaCores: 0.2 },
  ];
  const families = governorFamilies({ mode: "on", leftCores: 1.2, othersCores: 2.4, quotas }, 2);
  expect(families.map(({ name, samples }) => [name, samples])).toEqual([
    ["ffrtmp_governor_left_cores", [{ labels: { mode: "on" }, value: 1.2 }]],
    ["ffrtmp_governor_others_cores", [{ labels: { mode: "on" }, value: 2.4 }]],
    ["ffrtmp_governor_quota_cores", [{ labels: { mode: "on", job_id: "hd" }, value: 0.6 }]],
  ]);
  expect(governorFamilies(undefined)).toEqual([]);
});
