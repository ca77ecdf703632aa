import { expect, test } from "bun:test";
import { jobPath, parseRoute } from "./route.ts";

test("an address names a view or a job, whatever its id is", () => {
  expect(parseRoute("")).toEqual({ view: "jobs" });
  expect(parseRoute("#/history")).toEqual({ view: "history" });
  for (const jobId of ["channel-7", "a/b c", "50%", "été", "<b>"])
    expect(parseRoute(jobPath(jobId))).toEqual({ view: "jobs", jobId });
});

test("an address that is not valid shows the jobs", () => {
  for (const hash of ["#/nothing", "#/jobs/", "#/jobs/%E0%A4%A", "#", "#main"])
    expect(parseRoute(hash)).toEqual({ view: "jobs" });
});
