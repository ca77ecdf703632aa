import type { OpenJob } from "../../src/jobs/model/job.ts";
import { type Counters, UNKNOWN_COUNTERS, UNKNOWN_DETAILS } from "../../src/limits/counters.ts";
import type { JobUse } from "../../src/metrics/jobUse.ts";
import { NO_MEDIA } from "../../src/metrics/media/mediaReader.ts";
import type { JobNetwork } from "../../src/metrics/network/networkReader.ts";
import type { JobSample } from "../../src/metrics/sampler.ts";

/** The first sample of a job, of which only these counters are known, and one process with 365 MiB. */
export function someSample(
  job: OpenJob,
  counters: Partial<Counters>,
  different: Partial<JobSample> = {},
): JobSample {
  const atBootMs = 200_000;
  const details = { ...UNKNOWN_DETAILS, atBootMs, pids: [1], rssBytes: null };
  const memory = { bytes: 365 * 2 ** 20, source: "cgroup", chargedBytes: null, rssBytes: null } as const;
  const measured = { memory, processCount: 1, details };
  const tenantCounters = new Map();
  const now = { ...measured, atBootMs, counters: { ...UNKNOWN_COUNTERS, ...counters }, tenantCounters };
  const unknown = { rates: null, detailRates: null, intervalMs: null, gpu: null, before: null };
  return { ...measured, ...unknown, job, now, ...different };
}

/** The same with the network and the media time, which are not known unless they are given. */
export function someUse(job: OpenJob, counters: Partial<Counters>, different: Partial<JobUse> = {}): JobUse {
  return {
    ...someSample(job, counters),
    ...{ network: null, media: NO_MEDIA, pace: null, hindrance: null, shares: null },
    ...different,
  };
}

/** The network of a job with one connection, over which nothing is sent. */
export const IDLE_NETWORK: JobNetwork = {
  connections: 1,
  bytes: { sent: 0, received: 0, retransmitted: 0 },
  sendBacklogBytes: 0,
  sendBacklogSeconds: 0,
  receiveBacklogBytes: 0,
  windowLimitedPercent: 0,
  windowLimitedUsec: 0,
  rates: null,
  devices: null,
};
