import { expect, test } from "bun:test";
import { makeJob, makeJobs } from "./jobInput.ts";

const NOW = Date.parse("2026-11-28T12:00:00Z");
const HLS = { template: "hls", pool: "live" };

test("a job has defaults that run it once, within a day", () => {
  expect(makeJob(HLS, "ann@desk", NOW)).toEqual({
    v: 1,
    id: expect.stringMatching(/^job-[0-9a-f]{16}$/),
    ...HLS,
    params: {},
    attempts: 1,
    rerun: "never",
    labels: {},
    not_before: null,
    not_after: "2026-11-29T12:00:00.000Z",
    by: "ann@desk",
    at: "2026-11-28T12:00:00.000Z",
  });
});

test("the time to claim begins with not_before", () => {
  const job = makeJob({ ...HLS, not_before: "+90m", expires: "2h" }, "o", NOW);
  expect([job.not_before, job.not_after]).toEqual(["2026-11-28T13:30:00.000Z", "2026-11-28T15:30:00.000Z"]);
  const past = makeJob({ ...HLS, not_before: "2026-11-01T00:00:00+02:00", expires: "2h" }, "o", NOW);
  expect([past.not_before, past.not_after]).toEqual(["2026-10-31T22:00:00.000Z", "2026-11-28T14:00:00.000Z"]);
});

test.each([
  [{ pool: "live" }, "no template is named"],
  [{ template: "hls" }, "no pool is named"],
  [{ ...HLS, template: 7 }, "template: "],
  [{ ...HLS, id: "a.b" }, "id: expected 1 to 63"],
  [{ ...HLS, id: "_operator" }, "id: expected 1 to 63"],
  [{ ...HLS, params: { a: true } }, "params.a: "],
  [{ ...HLS, attempts: 21 }, "attempts: "],
  [{ ...HLS, rerun: "always" }, "rerun: "],
  [{ ...HLS, expires: "0" }, 'expires: "0" is no time at all'],
  [{ ...HLS, expires: "366d" }, "is more than 365d"],
  [{ ...HLS, not_before: "tomorrow" }, 'not_before: "tomorrow" is not a time'],
  [{ ...HLS, params: { a: "x".repeat(200_000) } }, "more than 128 KiB"],
  [{ ...HLS, argv: [] }, "Unrecognized key"],
])("a job like %j is refused", (input, reason) => {
  expect(() => makeJob(input, "o", NOW)).toThrow(reason);
});

test("a line overrides the options, and adds to their labels", () => {
  const text = '{"id": "a", "params": {"n": 7}, "labels": {"x": "1"}}\n\n{"id": "b", "pool": "batch"}\n';
  const options = { ...HLS, labels: { team: "ops" }, attempts: 3 };
  expect(makeJobs(text, options, "o", NOW, "jobs.jsonl")).toMatchObject([
    { id: "a", pool: "live", params: { n: 7 }, labels: { team: "ops", x: "1" }, attempts: 3 },
    { id: "b", pool: "batch", labels: { team: "ops" } },
  ]);
  expect(() => makeJobs("\n\n", options, "o", NOW, "jobs.jsonl")).toThrow("jobs.jsonl contains no job");
});
