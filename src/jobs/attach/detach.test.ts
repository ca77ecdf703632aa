import { expect, test } from "bun:test";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { detach } from "./detach.ts";

const { openOwner } = useGovernedFakes();
const OWNER = "/system.slice/encoder.service";

/** Governs one of a service's two processes, in a child of the service's cgroup. */
function nested(): FakeOwner & { job: RunningJob; path: string } {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.start(4027, 1);
  const job = machine.govern(4026, { pidsMax: 64 });
  return { ...machine, job, path: job.cgroup[0]?.path as string };
}

function release({ context, job }: { context: FakeOwner["context"]; job: RunningJob }): void {
  detach(context, job, jobCgroupOf(context, job));
}

test("detach moves processes back and leaves no cgroup", () => {
  const machine = nested();
  release(machine);
  expect(machine.fake.membership(4026).get("")).toBe(OWNER);
  expect(machine.fake.fs.exists(machine.path)).toBeFalse();
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("ended");
});

test("detach undoes again what the observer has put back meanwhile", () => {
  const machine = nested();
  const fs = machine.context.host.cgroupFs;
  const rmdir = fs.rmdir.bind(fs);
  let puts = 2;
  fs.rmdir = (path) => {
    if (path === machine.path && puts-- > 0) fs.write(`${path}/cgroup.procs`, "4026");
    return rmdir(path);
  };
  release(machine);
  expect(machine.fake.membership(4026).get("")).toBe(OWNER);
  expect(machine.fake.fs.exists(machine.path)).toBeFalse();
  expect(machine.context.ledger.events(machine.job)).toEqual([]);
});

test("a job whose workload has created cgroups below its own is not detached: those could not be moved", () => {
  const machine = nested();
  machine.fake.fs.mkdir(`${machine.path}/own`);
  expect(() => release(machine)).toThrow("it has created cgroups of its own below the job's");
  expect(machine.fake.membership(4026).get("")).not.toBe(OWNER);
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("running");
});

test("a job whose processes cannot be moved back is not recorded as detached", () => {
  const machine = nested();
  machine.fake.setAccess("denied", machine.owner);
  machine.fake.setAccess("full", machine.path);
  expect(() => release(machine)).toThrow("cannot detach job kept completely: PID 4026: EACCES");
  const { ledger } = machine.context;
  expect(ledger.job(machine.job.key)?.state).toBe("running");
  expect(ledger.result(machine.job)).toBeUndefined();
  expect(ledger.events(machine.job)).toMatchObject([{ kind: "detach_failed" }]);
});
