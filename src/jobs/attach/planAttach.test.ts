import { expect, test } from "bun:test";
import { dirname } from "node:path";
import { type FakeOwner, useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { useGovernedSleepers } from "../../../test/support/governedSleepers.ts";
import { lacksLimits, testIf } from "../../../test/support/sandbox.ts";
import type { Limits } from "../../limits/limits.ts";
import type { CgroupFs } from "../../linux/cgroupFs.ts";
import type { Change } from "../../linux/change.ts";
import { closeFd } from "../../sys/descriptor.ts";
import type { Context } from "../context.ts";
import type { JobSpec } from "../job.ts";
import type { Job } from "../model/job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { attach } from "./attach.ts";
import { detach } from "./detach.ts";
import { checkEligibility } from "./eligibility.ts";
import { planDryRun } from "./planAttach.ts";

const { openOwner } = useGovernedFakes();
const { clean, makeGovernor } = useGovernedSleepers();

const LIMITS: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  memoryMaxBytes: 64 << 20,
  pidsMax: 64,
};
const ACME = { name: "acme", limits: { pidsMax: 100 } };
const SPEC = { jobId: "kept", intent: null, slaEligible: true, tenant: null, labels: {} };

/** Records what is executed on cgroup files, in the words of a plan. */
function recordExecution(context: Context): { context: Context; executed: string[] } {
  const executed: string[] = [];
  const { cgroupFs } = context.host;
  const recording: CgroupFs = {
    ...cgroupFs,
    mkdir(path) {
      cgroupFs.mkdir(path);
      executed.push(`cgroup-created ${path}`);
    },
    write(path, data) {
      cgroupFs.write(path, data);
      const [file, directory] = [path.slice(path.lastIndexOf("/") + 1), path.slice(0, path.lastIndexOf("/"))];
      if (file === "cgroup.procs") executed.push(`processes-moved ${directory}`);
      else if (file === "cgroup.subtree_control")
        executed.push(...data.split(" ").map((word) => `controller-enabled ${directory} ${word.slice(1)}`));
      else executed.push(`file-written ${path} ${data}`);
    },
  };
  return { context: { ...context, host: { ...context.host, cgroupFs: recording } }, executed };
}

function planned(changes: readonly Change[]): string[] {
  return changes.flatMap((change) => {
    switch (change.kind) {
      case "cgroup-created":
        return [`cgroup-created ${change.path}`];
      case "controller-enabled":
        return [`controller-enabled ${change.path} ${change.controller}`];
      case "file-written":
        return [`file-written ${change.path} ${change.after}`];
      case "processes-moved":
        return [`processes-moved ${change.to}`];
      default:
        return [];
    }
  });
}

/** Files that every new cgroup needs before a process can join it; they are part of its creation. */
const PREPARATION =
  /\/(cpuset\.mems|cpuset\.cpus|memory\.oom\.group|cgroup\.type) |@acme\/?\S* (cpu|memory|io|pids|cpuset)$/;

/** Returns the plan and the execution of `attach`, as sorted lists of the same words. */
function compare(context: Context, pid: number, spec: JobSpec, attach: (context: Context) => Job) {
  const eligible = checkEligibility(context, pid, "explicit");
  if (!eligible.eligible) throw new Error(eligible.reason);
  const plan = planned(planDryRun(context, eligible, spec).changes);
  const recording = recordExecution(context);
  attach(recording.context);
  const executed = new Set(recording.executed.filter((line) => !PREPARATION.test(line)));
  return { plan: plan.sort(), executed: [...executed].sort() };
}

function compareOnFake(owner: FakeOwner, limits: Limits, different: Partial<JobSpec> = {}) {
  const spec = { ...SPEC, limits, ...different };
  return compare(owner.context, 4026, spec, (context) => {
    Object.assign(owner.context, context);
    return owner.govern(4026, limits, different);
  });
}

test("in place, attach executes the changes that a dry run prints, and no others", () => {
  const owner = openOwner();
  owner.start(4026, 1);
  const { plan, executed } = compareOnFake(owner, LIMITS);
  expect(executed).toEqual(plan);
  expect(plan).toContain(`file-written ${owner.owner}/pids.max 64`);
});

test("in place, the weight that an owner gets with its controller is not raised", () => {
  const owner = openOwner();
  owner.fake.fs.write(`${dirname(owner.owner)}/cgroup.subtree_control`, "-cpu");
  owner.start(4026, 1);
  const { plan, executed } = compareOnFake(owner, { ...LIMITS, cpuWeight: 500 });
  expect(executed).toEqual(plan);
  expect(plan).toContain(`controller-enabled ${dirname(owner.owner)} cpu`);
  expect(plan).not.toContain(`file-written ${owner.owner}/cpu.weight 500`);
  expect(owner.fake.fs.read(`${owner.owner}/cpu.weight`).trim()).toBe("100");
});

test("among its owner's processes too, where controllers have to be enabled first", () => {
  const owner = openOwner();
  owner.start(4026, 1);
  owner.start(4027, 1);
  const { plan, executed } = compareOnFake(owner, LIMITS, { tenant: ACME });
  expect(executed).toEqual(plan);
  expect(plan).toContain(`controller-enabled ${owner.owner} cpu`);
});

testIf(lacksLimits())("on this machine's cgroups too, with a tenant and a nice value", () => {
  const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
  clean.push(async () => {
    sleeper.kill("SIGKILL");
    await sleeper.exited;
  });
  const context = makeGovernor();
  const spec = { ...SPEC, limits: { ...LIMITS, nice: 5 }, tenant: ACME };
  const { plan, executed } = compare(context, sleeper.pid, spec, (recording) => {
    const { job, pidfd } = attach(recording, sleeper.pid, spec);
    if (pidfd !== undefined) closeFd(pidfd);
    clean.push(() => detach(context, job, jobCgroupOf(context, job)));
    return job;
  });
  expect(executed).toEqual(plan);
});
