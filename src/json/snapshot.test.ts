import { expect, test } from "bun:test";
import { someEndedJob, someJob, someResult } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import type { SlaRates } from "../jobs/exit/slaRates.ts";
import { resultJson } from "../jobs/json.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { type SnapshotParts, snapshotJson } from "./snapshot.ts";
import { snapshotSchema } from "./snapshotSchemas.ts";

const NO_RATE = { eligible: 0, compliant: 0, violations: 0, reasons: new Map() };
const SLA: SlaRates = { sinceMs: 0, untilMs: 1, overall: NO_RATE, tenants: new Map(), notEligible: 0 };
const AT = { wallMs: 1_790_000_000_000, bootMs: 203_000 };

const used = (job: OpenJob) => someUse(job, { cpuUsec: 5e6 });

function snapshotOf(different: Partial<SnapshotParts>) {
  const snapshot = snapshotJson({
    at: AT,
    hostname: "edge-03",
    daemon: { pid: 4025, startMs: AT.wallMs - 60_000 },
    machine: {
      cpuCount: 16,
      cpuTicks: null,
      memoryTotalBytes: 1000,
      memoryUsedBytes: 400,
      cpuWaitPercent: null,
      memoryWaitPercent: null,
    },
    pressure: {
      cpuSomePercent: 4,
      memorySomePercent: 0,
      ioSomePercent: null,
      memoryFullPercent: 0,
      ioFullPercent: null,
    },
    busyPercent: 62.345,
    sla: SLA,
    events: { source: "connector", dropped: 0 },
    problems: [],
    jobs: [],
    devices: [],
    ended: [],
    ...different,
  });
  expect(snapshotSchema.safeParse(snapshot).error?.message).toBeUndefined();
  return snapshot;
}

test("a snapshot without jobs is complete, and what is unknown is null", () => {
  expect(snapshotOf({ busyPercent: null })).toMatchObject({
    time: "2026-09-21T14:13:20.000Z",
    boot_time: "2026-09-21T14:09:57.000Z",
    daemon_start_time: "2026-09-21T14:12:20.000Z",
    machine: { cpu_busy_percent: null, memory_available_bytes: 600, io_pressure_percent: null },
    counts: { running: 0, hindered: 0, by_tenant: [] },
    jobs: [],
  });
});

test("a job has the keys of ps, what it uses with the time of the reading, and its limits as numbers", () => {
  const job = someJob({
    outcomes: [
      { limit: "cpu.max", outcome: "applied", wanted: "1.5 cores", actual: "150000 100000" },
      { limit: "pids.max", of: "tenant", outcome: "applied", wanted: "90", actual: "90" },
    ],
    tenant: "acme",
  });
  const snapshot = snapshotOf({ jobs: [{ job, use: used(job), cores: [null, 1.23456, 0] }] });
  expect(snapshot.jobs).toMatchObject([
    {
      job_id: "transcode-001",
      state: "running",
      outcome: null,
      process_count: 1,
      // The reading was 3 s before.
      use: { time: "2026-09-21T14:13:17.000Z", kind: "job", network: null },
      limits_in_force: { cpu_cores: 1.5, memory_max_bytes: null, task_count: null },
      cpu_history: [null, 1.235, 0],
    },
  ]);
  expect(snapshot.tenants).toMatchObject([
    { tenant: "acme", job_count: 1, limits_in_force: { cpu_cores: null, task_count: 90 } },
  ]);
});

test("a job that was not measured yet has no use", () => {
  const snapshot = snapshotOf({ jobs: [{ job: someJob(), use: undefined, cores: [] }] });
  expect(snapshot.jobs).toMatchObject([{ use: null, cpu_percent: null, memory_bytes: null }]);
  expect(snapshot.counts).toMatchObject({ running: 1, hindered: null });
});

test("jobs are counted for each tenant, and for those without one", () => {
  const jobs = ["blue", null, "acme", "blue"].map((tenant) => {
    const job = someJob({ tenant });
    return { job, use: used(job), cores: [] };
  });
  expect(snapshotOf({ jobs }).counts.by_tenant).toMatchObject([
    { tenant: null, running: 1 },
    { tenant: "acme", running: 1 },
    { tenant: "blue", running: 2 },
  ]);
});

test("secrets of a command are masked, of running jobs and of those that have ended", () => {
  const command = [
    "ffmpeg",
    "-i",
    "x",
    "-f",
    "flv",
    "rtmp://live.example/app/live_s3cr3tk3y_abcdef0123456789",
  ];
  const [job, ended] = [someJob({ command }), someEndedJob({ command })];
  const snapshot = snapshotOf({
    jobs: [{ job, use: undefined, cores: [] }],
    ended: [resultJson(ended, someResult(ended))],
  });
  expect(snapshot.jobs[0]?.command_masked).toBe(true);
  expect(JSON.stringify(snapshot)).not.toContain("s3cr3tk3y");
});
