import { expect, test } from "bun:test";
import { makeUsable } from "../../../test/support/cgroupMachines.ts";
import { type FakeCgroups, fakeHybrid, fakeV1 } from "../../../test/support/fakeCgroups.ts";
import type { Limits } from "../../limits/limits.ts";
import { planJobCgroup } from "./planJobCgroup.ts";

/** Returns the hierarchies in which a job of the owner's cgroup gets a directory. */
function hierarchiesOf(fake: FakeCgroups, limits: Limits, tenantLimits?: Limits): string[] {
  for (const hierarchy of fake.hierarchies) {
    const path = `${hierarchy.mountPoint}/owner`;
    if (!fake.fs.exists(path)) makeUsable(fake.fs, hierarchy, path);
  }
  const membership = new Map(fake.hierarchies.map(({ key }) => [key, "/owner"]));
  const tenant = tenantLimits && { name: "ffrtmp-000000-@acme", limits: tenantLimits };
  const job = planJobCgroup(fake.fs, fake.hierarchies, membership, {
    name: "ffrtmp-000000-a",
    limits,
    tenant,
  });
  return job.directories.map(({ hierarchy }) => hierarchy.key);
}

test.each<Limits>([
  { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } },
  { cpuWeight: 50 },
  { cpuIdle: 1 },
])("%p needs a cgroup that competes for CPU time, for a job or for its tenant", (limits) => {
  expect(hierarchiesOf(fakeV1(), limits)).toContain("cpu");
  expect(hierarchiesOf(fakeV1(), {}, limits)).toContain("cpu");
});

test("without a limit on CPU time there is none, and the use is measured all the same", () => {
  for (const limits of [{}, { pidsMax: 50, memoryMaxBytes: 2 ** 30, nice: 5 }])
    expect(hierarchiesOf(fakeV1(), limits)).toEqual(["cpuacct", "memory", "blkio", "pids"]);
});

test("a job counts toward the total that its tenant has there already", () => {
  const fake = fakeV1();
  expect(hierarchiesOf(fake, {}, {})).not.toContain("cpu");
  fake.fs.mkdir("/sys/fs/cgroup/cpu/owner/ffrtmp-000000-@acme");
  expect(hierarchiesOf(fake, {}, {})).toContain("cpu");
  expect(hierarchiesOf(fake, {})).not.toContain("cpu");
});

test("where cpu and cpuacct are one hierarchy, the companion measures in place of it", () => {
  const together = fakeV1({ together: ["cpu,cpuacct"] });
  expect(hierarchiesOf(together, {})).toContain("cpu,cpuacct");
  const hybrid = fakeHybrid();
  const hierarchies = hybrid.hierarchies.flatMap((hierarchy) =>
    hierarchy.key === "cpuacct"
      ? []
      : [hierarchy.key === "cpu" ? { ...hierarchy, controllers: ["cpu", "cpuacct"] } : hierarchy],
  );
  expect(hierarchiesOf({ ...hybrid, hierarchies }, {})).toEqual(["memory", "blkio", "pids", ""]);
  expect(hierarchiesOf({ ...hybrid, hierarchies }, { cpuWeight: 5 })).toContain("cpu");
});
