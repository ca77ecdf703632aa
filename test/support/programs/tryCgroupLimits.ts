/**
 * Creates a job's cgroup below its own, applies limits, removes the cgroup, and prints the outcomes as JSON.
 */
import type { Limits } from "../../../src/limits/limits.ts";
import { createJobCgroup, removeJobCgroup } from "../../../src/linux/cgroup/cgroupChanges.ts";
import { readHierarchies, readMembership } from "../../../src/linux/cgroup/hierarchies.ts";
import { applyCgroupLimits } from "../../../src/linux/cgroup/jobLimits.ts";
import { readUsage } from "../../../src/linux/cgroup/jobUsage.ts";
import { planJobCgroup } from "../../../src/linux/cgroup/planJobCgroup.ts";
import { joinThread, leaveThread } from "../../../src/linux/cgroup/startingThread.ts";
import { realHost } from "../../../src/linux/host.ts";

const limits: Limits = {
  cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 },
  memoryMaxBytes: 128 << 20,
  ioMax: [{ device: "254:0", rbps: 1_048_576 }],
  pidsMax: 64,
  cpus: "0",
};

const host = realHost();
const membership = readMembership(host, "self");
if (membership === "gone") throw new Error("/proc does not show this process");
const name = `ffrtmp-test-try-${process.pid}`;
const job = planJobCgroup(host.cgroupFs, readHierarchies(host), membership, { name, limits });
createJobCgroup(job);
const outcomes = applyCgroupLimits(job, limits);
const joined = joinThread(job);
const usage = readUsage(job);
leaveThread(job);
const left = removeJobCgroup(job);
console.log(JSON.stringify({ made: job.directories.length, outcomes, joined, usage, left }));
