import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { useGovernedSleepers } from "../../test/support/governedSleepers.ts";
import { lacksLimits, testIf, until } from "../../test/support/sandbox.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { hasOnlyCompanions } from "../linux/cgroup/companion.ts";
import { readHierarchies } from "../linux/cgroup/hierarchies.ts";
import { KeptFiles } from "../linux/cgroup/keptFiles.ts";
import { realHost } from "../linux/host.ts";
import { readIdentity } from "../linux/proc/identity.ts";
import { readResidentBytes } from "../linux/proc/resources.ts";
import { readLink } from "../linux/proc/table.ts";
import { readJob } from "./jobReading.ts";
import { JobSampler, NO_DEVICES } from "./sampler.ts";

const { governSleeper, clean } = useGovernedSleepers();
const reason = lacksLimits();
if (reason !== undefined) console.log(`not tried: readings of jobs: ${reason}`);
const limitsTest = test.skipIf(reason !== undefined);

limitsTest("an attached job has the resident memory of its processes, and its cgroup counts the CPU", () => {
  const { context, job, pid } = governSleeper({ pidsMax: 10 });
  const reading = readJob(context, job, jobCgroupOf(context, job));
  expect(reading).toMatchObject({ processCount: 1, memory: { source: "rss" } });
  expect(reading.memory.rssBytes).toBe(readResidentBytes(context.host, pid) as number);
  expect(reading.counters.cpuUsec).toBeNumber();
  expect(reading.processes).toBeUndefined();
  // Of a job that was started inside of its cgroup, all memory is charged there.
  const started = readJob(context, { ...job, mode: "run" }, jobCgroupOf(context, job));
  expect(started.memory).toMatchObject({ source: "cgroup", bytes: expect.any(Number) });
});

limitsTest("without cgroups, CPU time and memory are those of the process and its descendants", async () => {
  const { context, job } = governSleeper({});
  const busy = Bun.spawn(["sh", "-c", "sh -c 'while :; do :; done' & wait"]);
  const children = () => Bun.file(`/proc/${busy.pid}/task/${busy.pid}/children`).text();
  while ((await children()) === "") await Bun.sleep(1);
  const child = Number(await children());
  clean.push(async () => {
    process.kill(child, "SIGKILL");
    await busy.exited;
  });
  const root = readIdentity(context.host, busy.pid);
  if (root === "gone") throw new Error("the shell has ended");
  const elsewhere = { ...job, mode: "run" as const, process: root };
  const bare = { ...context, hierarchies: [] };
  const sampler = new JobSampler(bare);
  expect(sampler.sample([elsewhere])).toMatchObject([{ rates: null, intervalMs: null, processCount: 2 }]);
  let percent = 0;
  while (percent === 0) {
    await Bun.sleep(20);
    const [sample] = sampler.sample([elsewhere]);
    expect(sample).toMatchObject({
      rates: { throttledPercent: null, pressure: { cpuSomePercent: null, memorySomePercent: null } },
      memory: { source: "rss", chargedBytes: null },
    });
    percent = sample?.rates?.cpuPercent ?? 0;
    // From /proc/PID/io and the schedstat of each thread.
    expect(sample?.rates?.readBytesPerSecond).toBeNumber();
    expect(sample?.rates?.cpuWaitPercent).toBeNumber();
  }
  expect(percent).toBeGreaterThan(0);
});

/** Returns how many files of resident memory are open. */
function countOpenStatm(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => readLink(realHost(), `self/fd/${fd}`));
  return links.filter((link) => link?.endsWith("/statm")).length;
}

limitsTest("each reading with kept files lists the present processes, however many", async () => {
  const { context, job } = governSleeper({ pidsMax: 2000 });
  const files = new KeptFiles();
  const sampler = new JobSampler(context, { files, devices: NO_DEVICES });
  clean.push(() => sampler.forget(job.key));
  const count = () => sampler.sampleOne(job).processCount;
  expect(count()).toBe(1);
  expect(countOpenStatm()).toBe(1);
  const lists = job.cgroup.map(({ path }) => `${path}/cgroup.procs`).join(" ");
  const join = `for list in ${lists}; do echo $$ >$list; done`;
  const other = Bun.spawn(["sh", "-c", `${join}; echo; exec sleep 600`], { stdout: "pipe" });
  try {
    await other.stdout.getReader().read();
    expect(count()).toBe(2);
    expect(countOpenStatm()).toBe(2);
    const bytes = [job.process.pid, other.pid].map((pid) => readResidentBytes(context.host, pid) as number);
    expect(sampler.sampleOne(job).memory.rssBytes).toBe((bytes[0] as number) + (bytes[1] as number));
  } finally {
    other.kill("SIGKILL");
    await other.exited;
  }
  expect(count()).toBe(1);
  expect(countOpenStatm()).toBe(1);
  // More than the kernel returns with one read.
  const script = `${join}; i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i + 1)); done; echo; wait`;
  const shell = Bun.spawn(["sh", "-c", script], { stdout: "pipe" });
  const end = async () => {
    const [path] = job.cgroup.map((each) => `${each.path}/cgroup.procs`);
    const pids = (await Bun.file(path as string).text()).split("\n").filter(Boolean).map(Number);
    for (const pid of pids) if (pid !== job.process.pid) process.kill(pid, "SIGKILL");
    await shell.exited;
  };
  try {
    await shell.stdout.getReader().read();
    expect(count()).toBe(1002);
    expect(countOpenStatm()).toBe(0);
  } finally {
    await end();
  }
  await until("the processes are gone", () => count() === 1);
});

limitsTest("nothing is invented about a job whose process has ended", async () => {
  const { context, job } = governSleeper({});
  const gone = { ...job, process: { ...job.process, startTicks: 1 } };
  expect(
    readJob({ ...context, hierarchies: [] }, gone, jobCgroupOf({ ...context, hierarchies: [] }, gone)),
  ).toMatchObject({
    processCount: null,
    memory: { bytes: null, source: null, chargedBytes: null, rssBytes: null },
  });
});

limitsTest("details are kept until they are old, and everything else is read each time", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  let nowMs = 1_000_000;
  const clock = { ...context, host: { ...context.host, bootNow: () => nowMs } };
  const sampler = new JobSampler(clock, { detailsEveryMs: 10_000 });
  const take = (elapsedMs: number) => {
    nowMs += elapsedMs;
    return sampler.sample([job])[0];
  };
  const first = take(0);
  expect(first).toMatchObject({ detailRates: null, details: { taskCount: 1, oomKills: 0 } });
  const second = take(9_999);
  expect(second?.details).toBe(first?.details as NonNullable<typeof first>["details"]);
  expect(second).toMatchObject({
    detailRates: null,
    memory: { source: "rss", rssBytes: expect.any(Number) },
  });
  expect(second?.rates?.cpuPercent).toBeNumber();
  const third = take(1);
  expect(third?.details.atBootMs).toBe(1_010_000);
  expect(third?.detailRates).toMatchObject({ majorFaultsPerSecond: expect.any(Number) });
  // They are the rates of the last two readings of details until the next one.
  expect(take(1000)?.detailRates).toEqual(third?.detailRates as NonNullable<typeof third>["detailRates"]);
});

const unified = readHierarchies(realHost()).find(hasOnlyCompanions);
const lacksCompanion = unified === undefined ? "needs cgroup v2 without controllers, beside v1" : undefined;

testIf(reason ?? lacksCompanion)("a process outside of the companion of its job is read too", async () => {
  const { context, job } = governSleeper({ pidsMax: 10 });
  const paths = job.cgroup.filter(({ hierarchy }) => hierarchy !== unified?.key).map(({ path }) => path);
  expect(paths.length).toBeLessThan(job.cgroup.length);
  const join = paths.map((path) => `echo $$ >${path}/cgroup.procs`).join("; ");
  const other = Bun.spawn(["sh", "-c", `${join}; echo; exec sleep 600`], { stdout: "pipe" });
  clean.push(async () => {
    other.kill("SIGKILL");
    await other.exited;
  });
  await other.stdout.getReader().read();
  const sampler = new JobSampler(context, { files: new KeptFiles(), devices: NO_DEVICES });
  clean.push(() => sampler.forget(job.key));
  const { pids } = sampler.sampleOne(job).details;
  expect(new Set(pids)).toEqual(new Set([job.process.pid, other.pid]));
});
