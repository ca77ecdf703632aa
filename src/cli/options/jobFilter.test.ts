import { expect, test } from "bun:test";
import { someEndedJob, someJob, someResult } from "../../../test/support/jobs.ts";
import { Refusal } from "../../jobs/errors.ts";
import { parseJobFilter, type RecordedJob } from "./jobFilter.ts";

const ffmpeg: RecordedJob = {
  job: someJob({
    tenant: "acme",
    uid: 0,
    mode: "attach",
    command: ["/usr/bin/ffmpeg", "-i", "rtmp://a/live"],
    labels: { scheduler: "slurm", slurm_job: "17" },
  }),
};
const ended = someEndedJob();
const succeeded: RecordedJob = { job: ended, result: someResult(ended) };

test.each([
  ["state=running", [true, false]],
  ["state=ended", [false, true]],
  ["outcome=succeeded", [false, true]],
  ["outcome=failed", [false, false]],
  ["mode=attach", [true, false]],
  ["tenant=acme", [true, false]],
  ["tenant=", [false, true]],
  ["user=root", [true, false]],
  ["user=0", [true, false]],
  ["command=ffmpeg", [true, true]],
  ["command=/usr/bin/ffmpeg", [true, false]],
  ["command=*rtmp://*", [true, false]],
  ["command=ff", [false, false]],
  ["label=slurm_job=17", [true, false]],
  ["label=slurm_job=1", [false, false]],
  ["label=scheduler=*", [true, false]],
  ["label=toString=*", [false, false]],
] as const)("--filter %s", (text, matches) => {
  const filter = parseJobFilter(text);
  expect([ffmpeg, succeeded].map((each) => filter.matches(each))).toEqual([...matches]);
});

test("a filter that only ended jobs can match includes these", () => {
  const filters = ["state=ended", "outcome=killed", "state=running", "tenant=x"].map(parseJobFilter);
  expect(filters.map(({ isOfEnded }) => isOfEnded)).toEqual([true, true, false, false]);
});

test.each([
  ["status=x", 'there is no key "status". Expected: state, tenant, user, mode, command, label, outcome'],
  ["state", "it has no value. Expected: state=VALUE"],
  ["state=done", '"done" is none of: starting, running, ended'],
  ["outcome=", '"" is none of: succeeded, failed, killed, unknown'],
  ["user=no such user", "is no user of /etc/passwd. Expected: a name from there, or a uid"],
  ["command=[x", 'is not a valid pattern: "[" has no "]"'],
  ["label=slurm_job", "has no value. Expected: a name and a value, such as slurm_job=17"],
  ["toString=x", 'there is no key "toString"'],
])("--filter %s is refused with what is accepted", (text, message) => {
  expect(() => parseJobFilter(text)).toThrow(Refusal);
  expect(() => parseJobFilter(text)).toThrow(message);
});
