import { attach } from "../../src/jobs/attach/attach.ts";
import type { Context } from "../../src/jobs/context.ts";
import { recordExit } from "../../src/jobs/exit/recordExit.ts";
import { KeptFiles } from "../../src/linux/cgroup/keptFiles.ts";
import { JobSampler } from "../../src/metrics/sampler.ts";
import { closeFd } from "../../src/sys/descriptor.ts";
import { median } from "./statistics.ts";

/** Work of about a second of CPU time, the same in each run, that waits for a start. */
const COMMAND = [
  "sh",
  "-c",
  "read start; exec ffmpeg -nostdin -v quiet -f lavfi -i testsrc2=s=320x240 -t 60 -threads 1 -c:v mpeg2video -f null -",
];
const INTERVAL_MS = 1000;

/**
 * Returns the CPU time of a workload that is governed and read each second, divided by that of the same workload alone. The
 * runs alternate, and the median of the ratios counts: other programs on the machine change the cost of the same work.
 */
export async function measureWorkloadCost(context: Context, pairs: number): Promise<number> {
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const alone = await cpuTimeOf(undefined, pair);
    ratios.push((await cpuTimeOf(context, pair)) / alone);
  }
  return median(ratios);
}

/** `context`: governs the workload by it. */
async function cpuTimeOf(context: Context | undefined, pair: number): Promise<number> {
  const child = Bun.spawn({ cmd: COMMAND, stdio: ["pipe", "ignore", "ignore"] });
  const observed = context && observe(context, child.pid, pair);
  child.stdin.write("\n");
  await child.stdin.end();
  await child.exited;
  observed?.stop();
  return Number(child.resourceUsage()?.cpuTime.total);
}

function observe(context: Context, pid: number, pair: number): { stop(): void } {
  const { job, pidfd } = attach(context, pid, {
    ...{ jobId: `workload-${pair}`, intent: null, slaEligible: false, tenant: null, labels: {} },
    limits: { pidsMax: 100 },
  });
  if (pidfd !== undefined) closeFd(pidfd);
  const sampler = new JobSampler(context, { files: new KeptFiles() });
  const timer = setInterval(() => sampler.sampleOne(job), INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      sampler.forget(job.key);
      recordExit(context, job, { kind: "exit-unknown", reason: "a benchmark" });
    },
  };
}
