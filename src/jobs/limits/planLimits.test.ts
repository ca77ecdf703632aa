import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { competesAsOneIn, threadsOfQuota, weightOfNice } from "./planLimits.ts";

test("weightOfNice() returns the weights of the scheduler, in units of nice 0 = 100", () => {
  // sched_prio_to_weight: 88761 at −20, 1024 at 0, 110 at 10, 15 at 19
  expect(weightOfNice(-20)).toBe(8674);
  expect(weightOfNice(0)).toBe(100);
  expect(weightOfNice(10)).toBe(11);
  expect(weightOfNice(19)).toBe(1);
});

test("a quota gives the weight of the threads that it lets run, and of one that waits", () => {
  const quota = (percent: number) => ({ quotaUsec: percent * 1000, periodUsec: 100_000 });
  expect(threadsOfQuota(quota(50), undefined, 4)).toBe(2);
  expect(threadsOfQuota(quota(100), undefined, 4)).toBe(2);
  expect(threadsOfQuota(quota(250), undefined, 4)).toBe(4);
  // Never more than it has.
  expect(threadsOfQuota(quota(250), 1, 4)).toBe(1);
  expect(threadsOfQuota(quota(250), 3, 4)).toBe(3);
  expect(threadsOfQuota(quota(50), 0, 4)).toBe(1);
  // No bound for what it takes from its neighbours.
  expect(threadsOfQuota(quota(400), 9, 4)).toBe(1);
  expect(threadsOfQuota({ quotaUsec: "max", periodUsec: 100_000 }, 9, 4)).toBe(1);
  expect(threadsOfQuota(undefined, 9, 4)).toBe(1);
  expect(weightOfNice(0, 3)).toBe(300);
  expect(weightOfNice(10, 2)).toBe(21);
});

test("the CPUs that ffrtmp itself may use change no weight", () => {
  const script = `
    import { threadsOfQuota } from ${JSON.stringify(join(import.meta.dir, "planLimits.ts"))};
    console.log(threadsOfQuota({ quotaUsec: 100_000, periodUsec: 100_000 }));`;
  const run = (...prefix: string[]) =>
    Bun.spawnSync([...prefix, process.execPath, "-e", script], { stderr: "inherit" }).stdout.toString();
  expect(run()).toMatch(/^[12]\n$/);
  const [, first = ""] =
    readFileSync("/proc/self/status", "utf8").match(/^Cpus_allowed_list:\s*(\d+)/m) ?? [];
  expect(run("taskset", "-c", first)).toBe(run());
});

const { openOwner } = useGovernedFakes();

test("a job in a cgroup that competes because of another job, without a weight, leads to a warning", () => {
  const machine = openOwner();
  for (const pid of [10, 20, 30]) machine.start(pid, 1);
  const warnings: string[] = [];
  machine.context.warn = (text) => warnings.push(text);
  const free = machine.govern(10, { pidsMax: 50 }, { jobId: "free" });
  expect(competesAsOneIn(jobCgroupOf(machine.context, free), {})).toBeUndefined();
  machine.govern(20, { cpuWeight: 50 }, { jobId: "weighed" });
  expect(warnings).toEqual([]);
  machine.govern(30, { pidsMax: 50 }, { jobId: "later" });
  expect(warnings).toEqual([
    `job later competes for CPU time as one thread beside those in ${machine.owner}, however many it has; to give it a share: an intent, or a CPU weight`,
  ]);
});
