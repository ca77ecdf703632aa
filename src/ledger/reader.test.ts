import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { entriesOf } from "./reader.ts";

test("a job of exec is registered before it is started, although its process is older", () => {
  const job = someJob({ createdMs: 2000, startedMs: 1900 });
  const entries = entriesOf(job, undefined, []);
  expect(entries.map(({ kind, atMs }) => [kind, atMs])).toEqual([
    ["registered", 2000],
    ["started", 2000],
  ]);
});
