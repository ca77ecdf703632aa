import { expect, test } from "bun:test";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { jobCgroupOf } from "./jobCgroup.ts";
import { moveTreeIntoCgroup } from "./moveTree.ts";

const { openOwner } = useGovernedFakes();
const OWNER = "/system.slice/encoder.service";

test("a process with the reused pid of a process that is gone is not moved", () => {
  const { fake, context, owner, start, reuse, govern } = openOwner();
  start(4026, 1);
  start(4027, 1);
  const job = govern(4026, { pidsMax: 64 });
  context.host.cgroupFs.write(`${owner}/cgroup.threads`, "4026");
  reuse(4026);
  expect(moveTreeIntoCgroup(context.host, jobCgroupOf(context, job), job.process)).toEqual({
    pids: [],
    leftOutside: [
      {
        pid: 4026,
        controllers: ["pids"],
        because: expect.stringContaining("had ended"),
        hasEnded: true,
      },
    ],
  });
  expect(fake.membership(4026).get("")).toBe(OWNER);
});

test("a descendant that another program moved elsewhere stays there, and the outcome names it", () => {
  const { fake, context, start, govern } = openOwner();
  start(4026, 1);
  start(4027, 1);
  start(4028, 4026);
  context.host.cgroupFs.mkdir("/sys/fs/cgroup/system.slice/other.service");
  context.host.cgroupFs.write("/sys/fs/cgroup/system.slice/other.service/cgroup.procs", "4028");
  const job = govern(4026, { pidsMax: 64 });
  expect(fake.membership(4028).get("")).toBe("/system.slice/other.service");
  expect(job.outcomes).toMatchObject([
    { limit: "pids.max", outcome: "partial", because: expect.stringContaining("PID 4028 stays outside") },
  ]);
});
