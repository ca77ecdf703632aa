import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { basename, dirname } from "node:path";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { useGovernedSleepers } from "../../../test/support/governedSleepers.ts";
import { directoriesOf } from "../../../test/support/jobs.ts";
import { lacksLimits, testIf } from "../../../test/support/sandbox.ts";
import type { Limits } from "../../limits/limits.ts";
import { realHost } from "../../linux/host.ts";
import { detach } from "../attach/detach.ts";
import { attributesOf } from "../changes.ts";
import type { Job } from "../model/job.ts";
import { jobCgroupOf, usageOf } from "../placement/jobCgroup.ts";
import { changeLimits } from "./changeLimits.ts";

const { governSleeper, makeGovernor } = useGovernedSleepers();
const { openOwner } = useGovernedFakes();
const limitsTest = testIf(lacksLimits());

const HALF_A_CORE: Limits = { cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } };
const { cgroupFs } = realHost();

limitsTest(
  "a limit that is no longer asked for returns to its default, and one that is asked for is applied",
  () => {
    let { context, job } = governSleeper({ ...HALF_A_CORE, pidsMax: 100 });
    job = changeLimits(context, job, { limits: { pidsMax: 50, memoryMaxBytes: 64 << 20 } }, "test");
    expect(job.outcomes).toMatchObject([
      { limit: "memory.max", actual: String(64 << 20) },
      { limit: "pids.max", outcome: "applied", actual: "50" },
    ]);
    // On v1 a job without a limit on CPU time is in no cgroup of its own there.
    expect(readFirst(job, ["cpu.cfs_quota_us", "cpu.max"])).toBeOneOf([undefined, "max 100000"]);
    expect(readFirst(job, ["pids.max"])).toBe("50");
    expect(context.ledger.job(job.key)).toEqual(job);
    expect(context.ledger.events(job)).toMatchObject([
      {
        kind: "limits_changed",
        detail: { because: "test", before: ["cpu.max applied 50000 100000", "pids.max applied 100"] },
      },
    ]);
  },
);

limitsTest("a limit of a kind that was never asked for before gets its controller", () => {
  let { context, job, pid } = governSleeper(HALF_A_CORE);
  const before = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  job = changeLimits(context, job, { limits: { cpus: "0" } }, "test");
  expect(job.outcomes).toMatchObject([{ limit: "cpuset.cpus" }]);
  expect(readFirst(job, ["cpuset.cpus"])).toBe("0");
  expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^Cpus_allowed_list:\s0$/m);
  expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).not.toBe(before);
});

limitsTest(
  "the nice value from before ffrtmp stays recorded through every change, and is restored at the end",
  () => {
    const before = getPriority();
    let { context, job, pid } = governSleeper({ nice: before + 3 });
    job = changeLimits(context, job, { limits: { nice: before + 5 } }, "test");
    expect(getPriority(pid)).toBe(before + 5);
    expect(attributesOf(job)).toMatchObject([{ attribute: "nice", before, after: before + 5 }]);
    job = changeLimits(context, job, { limits: {} }, "test");
    expect(getPriority(pid)).toBe(before);
    expect(attributesOf(job)).toEqual([]);
  },
);

limitsTest("a limit set by hand overrides the other one until it is removed", () => {
  let { context, job } = governSleeper({ pidsMax: 100 });
  job = changeLimits(context, job, { byHand: { pidsMax: 20 } }, "by hand");
  expect(readFirst(job, ["pids.max"])).toBe("20");
  job = changeLimits(context, job, { limits: { pidsMax: 200 } }, "policy");
  expect(readFirst(job, ["pids.max"])).toBe("20");
  job = changeLimits(context, job, { byHand: null }, "by hand");
  expect(readFirst(job, ["pids.max"])).toBe("200");
});

limitsTest(
  "a job that gets another tenant is moved to the group of that tenant, and keeps its usage",
  async () => {
    const acme = { name: "acme", limits: { pidsMax: 60 } };
    const zeta = { name: "Zeta & Söhne", limits: { pidsMax: 70 } };
    let { context, job, pid } = governSleeper(HALF_A_CORE, { tenant: acme });
    const first = job.cgroup;
    const before = usageOf(job, jobCgroupOf(context, job));
    const stayed = governSleeper({}, { jobId: "other", tenant: acme }, context).job;

    job = changeLimits(context, job, { tenant: zeta }, "test");
    expect(job.tenant).toBe("Zeta & Söhne");
    for (const { path, tenant, formerly } of directoriesOf(job)) {
      expect(formerly).toBeUndefined();
      expect(basename(tenant as string)).toBe(`ffrtmp-${context.state.tag}-@Zeta%20%26%20S%C3%B6hne`);
      expect(readFileSync(`${path}/cgroup.procs`, "utf8")).toBe(`${pid}\n`);
    }
    for (const { path } of first) expect(cgroupFs.exists(path)).toBeFalse();
    for (const { tenant } of directoriesOf(stayed)) expect(cgroupFs.exists(tenant as string)).toBeTrue();
    expect(job.outcomes).toMatchObject([
      { limit: "cpu.max", outcome: "applied" },
      { limit: "pids.max", of: "tenant", outcome: "applied", actual: "70" },
    ]);
    const after = usageOf(job, jobCgroupOf(context, job));
    expect(after.memoryPeakBytes).toBeGreaterThanOrEqual(before.memoryPeakBytes as number);
    expect((after.cpuSystemUsec ?? 0) + (after.cpuUserUsec ?? 0)).toBeGreaterThanOrEqual(
      (before.cpuSystemUsec ?? 0) + (before.cpuUserUsec ?? 0),
    );

    job = changeLimits(context, job, { tenant: null }, "test");
    for (const { path, origin } of directoriesOf(job)) expect(path).toStartWith(`${origin}/ffrtmp-`);
    expect(job.outcomes).toMatchObject([{ limit: "cpu.max" }]);
  },
);

limitsTest("the next change finishes the move to another tenant of an ffrtmp that died", () => {
  let { context, job, pid } = governSleeper(HALF_A_CORE, { tenant: { name: "acme", limits: {} } });
  const { cgroup, changes } = job;
  const toZeta = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll("@acme", "@zeta"));
  for (const { path } of toZeta(cgroup)) for (const each of [dirname(path), path]) cgroupFs.mkdir(each);
  const halfDone = {
    cgroup: toZeta(cgroup),
    changes: [
      ...changes,
      ...toZeta(changes).filter(({ kind }) => kind === "cgroup-created" || kind === "processes-moved"),
    ],
  };
  job = context.ledger.recordSpec(context.ledger.recordJournal(job, halfDone), { tenant: "zeta" });
  expect(directoriesOf(job)[0]).toMatchObject({ formerly: cgroup[0]?.path });

  job = changeLimits(context, job, { tenant: { name: "zeta", limits: {} } }, "start");
  for (const { path, formerly } of directoriesOf(job)) {
    expect(formerly).toBeUndefined();
    expect(readFileSync(`${path}/cgroup.procs`, "utf8")).toBe(`${pid}\n`);
  }
  for (const { path } of cgroup) expect(cgroupFs.exists(path)).toBeFalse();
});

limitsTest("detach moves a job of a tenant back to its origin, and the last job removes the group", () => {
  const context = makeGovernor();
  const tenant = { name: "acme", limits: { pidsMax: 60 } };
  const sleepers = ["one", "two"].map((jobId) => governSleeper({}, { jobId, tenant }, context));
  const groups = sleepers.flatMap(({ job }) => directoriesOf(job).flatMap(({ tenant }) => tenant ?? []));
  for (const { job, pid } of sleepers) {
    expect(groups.every(cgroupFs.exists)).toBeTrue();
    detach(context, job, jobCgroupOf(context, job));
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toBe(readFileSync("/proc/self/cgroup", "utf8"));
  }
  expect(groups.some(cgroupFs.exists)).toBeFalse();
});

/** Reads the first of these files that the job's cgroup has. */
function readFirst({ cgroup }: Job, files: string[]): string | undefined {
  for (const { path } of cgroup) {
    for (const file of files) {
      if (cgroupFs.exists(`${path}/${file}`)) return cgroupFs.read(`${path}/${file}`).trim();
    }
  }
  return undefined;
}

test("an old limit is removed where the new one is not written because a limit above is tighter", () => {
  const { fake, context, owner, start, govern } = openOwner();
  start(4026, 1);
  start(4027, 1);
  let fakeJob = govern(4026, { pidsMax: 40 });
  fake.fs.write(`${owner}/pids.max`, "30");
  fakeJob = changeLimits(context, fakeJob, { limits: { pidsMax: 60 } }, "test");
  expect(fakeJob.outcomes).toMatchObject([{ limit: "pids.max", actual: "30", heldBy: owner }]);
  expect(fake.fs.read(`${fakeJob.cgroup[0]?.path}/pids.max`)).toBe("max\n");
});

test("the rates of a disk that is no longer named are removed, and the others are applied", () => {
  const { fake, context, owner, start, govern } = openOwner();
  start(4026, 1);
  let fakeJob = govern(4026, { ioMax: [{ device: "8:0", rbps: 1_000_000 }] });
  fakeJob = changeLimits(
    context,
    fakeJob,
    { limits: { ioMax: [{ device: "8:16", wbps: 2_000_000 }] } },
    "test",
  );
  expect(fake.fs.read(`${owner}/io.max`)).toBe("8:16 rbps=max wbps=2000000 riops=max wiops=max\n");
});
