import { expect, test } from "bun:test";
import { release as kernelRelease } from "node:os";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { directoriesOf } from "../../../test/support/jobs.ts";
import { testIf } from "../../../test/support/sandbox.ts";
import { detach } from "../attach/detach.ts";
import { changeLimits } from "../limits/changeLimits.ts";
import { enforceLimits } from "../limits/enforceLimits.ts";
import type { RunningJob } from "../model/job.ts";
import { jobCgroupOf } from "./jobCgroup.ts";

const { openOwner } = useGovernedFakes();

function ownerAlone(): FakeOwner & { read(file: string): string; write(file: string, text: string): void } {
  const machine = openOwner();
  machine.start(4026, 1);
  const { cgroupFs } = machine.context.host;
  return {
    ...machine,
    read: (file) => cgroupFs.read(`${machine.owner}/${file}`).trim(),
    write: (file, text) => cgroupFs.write(`${machine.owner}/${file}`, text),
  };
}

function release({ context }: FakeOwner, job: RunningJob): void {
  detach(context, job, jobCgroupOf(context, job));
}

test("a workload alone in its service is governed in place, and detach restores the values from before", () => {
  const machine = ownerAlone();
  machine.write("pids.max", "200");
  const job = machine.govern(4026, { pidsMax: 64 });
  expect(job.cgroup).toMatchObject([{ path: machine.owner, placedAs: "in-place" }]);
  expect(machine.read("pids.max")).toBe("64");
  release(machine, job);
  expect(machine.read("pids.max")).toBe("200");
});

test("detach keeps a value that the owner wrote over a limit, instead of the value from before", () => {
  const machine = ownerAlone();
  machine.write("pids.max", "200");
  const job = machine.govern(4026, { pidsMax: 64 });
  machine.write("pids.max", "500");
  const enforced = enforceLimits(machine.context, job);
  expect(enforced.repairs).toMatchObject([{ what: "pids.max", did: "reapplied", found: "500" }]);
  expect(machine.read("pids.max")).toBe("64");
  release(machine, enforced.job);
  expect(machine.read("pids.max")).toBe("500");
});

test("a tighter value of the owner stays: neither enforcing nor another limit nor detach loosens it", () => {
  const machine = ownerAlone();
  let job = machine.govern(4026, { pidsMax: 64 });
  machine.write("pids.max", "30");
  expect(enforceLimits(machine.context, job).repairs).toEqual([]);
  job = changeLimits(machine.context, job, { limits: { pidsMax: 50 } }, "test");
  expect(machine.read("pids.max")).toBe("30");
  release(machine, job);
  expect(machine.read("pids.max")).toBe("30");
});

test("a limit that is no longer asked for returns to the owner's value at once", () => {
  const machine = ownerAlone();
  machine.write("memory.max", "1073741824");
  let job = machine.govern(4026, { pidsMax: 64, memoryMaxBytes: 64 << 20 });
  job = changeLimits(machine.context, job, { limits: { pidsMax: 64 } }, "test");
  expect({ memory: machine.read("memory.max"), pids: machine.read("pids.max") }).toEqual({
    memory: "1073741824",
    pids: "64",
  });
});

test("the value from before is recorded before it is overwritten, and the written value after that", () => {
  const machine = ownerAlone();
  machine.write("pids.max", "200");
  const { context } = machine;
  const { cgroupFs } = context.host;
  const onRecord = () =>
    context.ledger.openJobs().flatMap(({ changes }) => changes.filter(({ kind }) => kind === "file-written"));
  const atEachWrite: ReturnType<typeof onRecord>[] = [];
  const write = (path: string, data: string): void => {
    if (path.endsWith("/pids.max")) atEachWrite.push(onRecord());
    cgroupFs.write(path, data);
  };
  Object.assign(context, { host: { ...context.host, cgroupFs: { ...cgroupFs, write } } });
  let job = machine.govern(4026, { pidsMax: 64 });
  expect(onRecord()).toMatchObject([{ path: `${machine.owner}/pids.max`, before: "200", after: "64" }]);
  job = changeLimits(context, job, { limits: { pidsMax: 50 } }, "test");
  expect(onRecord()).toMatchObject([{ path: `${machine.owner}/pids.max`, before: "200", after: "50" }]);
  expect(atEachWrite).toMatchObject([[{ before: "200", after: null }], [{ before: "200", after: "64" }]]);
});

test("a workload beside other processes of its owner is nested, and never limits them", () => {
  const machine = ownerAlone();
  machine.start(4027, 1);
  const before = machine.read("pids.max");
  const job = machine.govern(4026, { pidsMax: 64, memoryMaxBytes: 64 << 20 });
  expect(directoriesOf(job)).toMatchObject([{ origin: machine.owner }]);
  expect(job.cgroup.map(({ placedAs }) => placedAs)).toEqual([undefined]);
  expect(job.outcomes).toMatchObject([
    { limit: "memory.max", outcome: "unsupported" },
    { limit: "pids.max", outcome: "applied", actual: "64" },
  ]);
  expect(machine.read("pids.max")).toBe(before);
  expect(machine.fake.membership(4027).get("")).toBe("/system.slice/encoder.service");
});

test("enforcing leaves another process with the pid of the job's alone", () => {
  const machine = ownerAlone();
  machine.start(4027, 1);
  const job = machine.govern(4026, { pidsMax: 64 });
  machine.context.host.cgroupFs.write(`${machine.owner}/cgroup.threads`, "4026");
  machine.reuse(4026);
  expect(enforceLimits(machine.context, job).repairs).toEqual([]);
  expect(machine.fake.membership(4026).get("")).toBe("/system.slice/encoder.service");
});

test("a job of another boot is left alone, although a process has its pid and its start time", () => {
  const machine = ownerAlone();
  machine.start(4027, 1);
  const job = machine.govern(4026, { pidsMax: 64 });
  machine.context.host.cgroupFs.write(`${machine.owner}/cgroup.threads`, "4026");
  const context = { ...machine.context, bootId: "another" };
  expect(enforceLimits(context, job).repairs).toEqual([]);
  expect(machine.fake.membership(4026).get("")).toBe("/system.slice/encoder.service");
});

test("an ffrtmp that dies between a write and its record is no owner: the value from before it is restored", () => {
  const machine = ownerAlone();
  machine.write("pids.max", "200");
  let job = machine.govern(4026, { pidsMax: 64 });
  const changes = job.changes.map((change) =>
    change.kind === "file-written" ? { ...change, after: null } : change,
  );
  job = { ...job, changes };
  job = changeLimits(machine.context, job, { limits: { pidsMax: 50 } }, "test");
  release(machine, job);
  expect(machine.read("pids.max")).toBe("200");
});

// Before Linux 6.12 enabling cpuset would reset the affinity of other processes, and ffrtmp does not do it.
const bindsOthers = Bun.semver.order(kernelRelease().replace(/[^\d.].*$/, ""), "6.12.0") < 0;
const cpusetTest = testIf(bindsOthers ? "a cpuset that is switched on: needs Linux 6.12" : undefined);

cpusetTest(
  "a job whose list of CPUs is no longer asked for has all of them, where there was no list before",
  () => {
    const machine = ownerAlone();
    machine.context.host.cgroupFs.write("/sys/fs/cgroup/system.slice/cgroup.subtree_control", "-cpuset");
    let job = machine.govern(4026, { cpus: "0" });
    expect(machine.read("cpuset.cpus.effective")).toBe("0");
    job = changeLimits(machine.context, job, { limits: {} }, "test");
    expect(machine.read("cpuset.cpus.effective")).toBe("0-3");
    release(machine, job);
    expect(machine.context.host.cgroupFs.exists(`${machine.owner}/cpuset.cpus`)).toBeFalse();
  },
);

test("a controller that systemd disabled is enabled again with its limit, as often as systemd disables it", () => {
  const machine = ownerAlone();
  let job = machine.govern(4026, { pidsMax: 64 });
  const slice = "/sys/fs/cgroup/system.slice";
  for (let time = 1; time <= 10; time++) {
    machine.context.host.cgroupFs.write(`${slice}/cgroup.subtree_control`, "-pids");
    const enforced = enforceLimits(machine.context, job);
    job = enforced.job;
    expect(enforced.repairs).toMatchObject([{ what: "pids.max", did: "given_again", found: "max" }]);
    expect(machine.read("pids.max")).toBe("64");
  }
  // Does not count for another value that an operator has written.
  machine.write("pids.max", "500");
  expect(enforceLimits(machine.context, job).repairs).toMatchObject([{ what: "pids.max", did: "reapplied" }]);
});
