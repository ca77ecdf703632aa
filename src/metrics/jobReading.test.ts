import { expect, test } from "bun:test";
import { useGovernedSleepers } from "../../test/support/governedSleepers.ts";
import { lacksLimits } from "../../test/support/sandbox.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { readIdentity } from "../linux/proc/identity.ts";
import { readResidentBytes } from "../linux/proc/resources.ts";
import { readJob } from "./jobReading.ts";
import { JobSampler } from "./sampler.ts";

const { governSleeper, clean } = useGovernedSleepers();
const reason = lacksLimits();
if (reason !== undefined) console.log(`not tried: readings of jobs: ${reason}`);
const limitsTest = test.skipIf(reason !== undefined);

limitsTest("an attached job has the resident memory of its processes, and its cgroup counts the CPU", () => {
  const { context, job, pid } = governSleeper({ pidsMax: 10 });
  const reading = readJob(context, job, jobCgroupOf(context, job));
  expect(reading).toMatchObject({ pids: [pid], memory: { source: "rss" } });
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
      rates: { throttledPercent: null, readBytesPerSecond: null, writeBytesPerSecond: null },
      memory: { source: "rss", chargedBytes: null },
    });
    percent = sample?.rates?.cpuPercent ?? 0;
  }
  expect(percent).toBeGreaterThan(0);
});

limitsTest("nothing is invented about a job whose process has ended", async () => {
  const { context, job } = governSleeper({});
  const gone = { ...job, process: { ...job.process, startTicks: 1 } };
  expect(
    readJob({ ...context, hierarchies: [] }, gone, jobCgroupOf({ ...context, hierarchies: [] }, gone)),
  ).toMatchObject({
    pids: [],
    memory: { bytes: null, source: null, chargedBytes: null, rssBytes: null },
  });
});
