import { expect, test } from "bun:test";
import { someHindrance } from "../../test/support/hindrances.ts";
import { someJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import { NO_MEDIA } from "../metrics/media/mediaReader.ts";
import type { JobNetwork } from "../metrics/network/networkReader.ts";
import { formatFor, renderMetrics } from "./exposition.ts";
import { jobFamilies } from "./jobMetrics.ts";

const text = (uses: readonly JobUse[], maxJobs?: number, ended: readonly JobUse[] = []) =>
  renderMetrics(jobFamilies(uses, ended, maxJobs), formatFor(null));

test("a job has the counters that the kernel has, and nothing that is unknown", () => {
  const job = someJob({
    jobId: "live-1",
    mode: "watch",
    tenant: "acme",
    command: ["/usr/bin/ffmpeg", "-i", "x"],
  });
  const shown = text([someUse(job, { cpuUsec: 12_500_000, quotaPeriods: 10, throttledPeriods: 0 })]);
  expect(shown).toContain(
    'ffrtmp_job_info{job_id="live-1",mode="watch",tenant="acme",command="ffmpeg",scheduler="",scheduler_id="",kind=""} 1\n',
  );
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="live-1"} 12.5\n');
  expect(shown).toContain('ffrtmp_job_cpu_throttled_periods_total{job_id="live-1"} 0\n');
  expect(shown).not.toContain("pressure");
  expect(shown).not.toContain("/usr/bin");
});

test("the facts of a job have its scheduler, and its id there", () => {
  const labels = { scheduler: "slurm", slurm_job: "17", slurm_step: "0", tier: "gold" };
  const shown = text([someUse(someJob({ jobId: "step", labels }), {})]);
  expect(shown).toMatch(
    /ffrtmp_job_info\{job_id="step",.*,scheduler="slurm",scheduler_id="17",kind=""\} 1\n/,
  );
  expect(shown).not.toContain("gold");
});

test("gauges of jobs beyond the limit are summed, where the number is known of all of them", () => {
  const jobs = ["c", "a", "b"].map((jobId) => someJob({ jobId }));
  const samples = jobs.map((job, index) => someUse(job, {}, { processCount: index === 0 ? null : 5 }));
  const shown = text(samples, 1);
  expect(shown).toContain("ffrtmp_jobs_not_exported 2\n");
  expect(shown).toContain(`ffrtmp_job_memory_bytes{job_id="a"} ${365 * 2 ** 20}\n`);
  expect(shown).toContain(`ffrtmp_job_memory_bytes{job_id="(others)"} ${2 * 365 * 2 ** 20}\n`);
  expect(shown).toContain('ffrtmp_job_processes{job_id="a"} 5\n');
  // Unknown for c.
  expect(shown).not.toContain('ffrtmp_job_processes{job_id="(others)"}');
  expect(shown).not.toContain('job_id="b"');
});

test("counters are not summed: with the end of a job the sum would fall, which is no reset", () => {
  const uses = ["a", "b", "c"].map((jobId) => someUse(someJob({ jobId }), { cpuUsec: 1e6 }));
  const shown = text(uses, 1);
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="a"} 1\n');
  expect(shown).not.toMatch(/_total\{job_id="\(others\)"/);
});

test("the last part of a URL in place of a command is shown nowhere", () => {
  const job = someJob({ command: ["rtmp://live.example/app/streamkey"] });
  expect(text([someUse(job, {})])).not.toContain("streamkey");
});

const NETWORK: JobNetwork = {
  connections: 1,
  bytes: { sent: 9000, received: 20, retransmitted: null },
  sendBacklogBytes: 500,
  sendBacklogSeconds: 0.5,
  receiveBacklogBytes: 0,
  windowLimitedUsec: 2_500_000,
  windowLimitedPercent: 4,
  rates: null,
  devices: null,
};

test("a job has its network, media time and GPU, as far as they are known", () => {
  const media = {
    ...NO_MEDIA,
    ...({ source: "progress", mediaSeconds: 12.5, frames: 300, percent: 42 } as const),
    speed: { factor: 0.8, overMs: 15_000 },
  };
  const gpu = {
    memoryBytes: 1024,
    smPercent: null,
    encoderPercent: 50,
    decoderPercent: 0,
    encoderSessions: 1,
  };
  const shown = text([someUse(someJob({ jobId: "a" }), {}, { network: NETWORK, media, gpu })]);
  for (const line of [
    'network_tcp_bytes_total{job_id="a",direction="sent"} 9000',
    'network_receiver_limited_seconds_total{job_id="a"} 2.5',
    'network_send_backlog_seconds{job_id="a"} 0.5',
    'media_seconds_total{job_id="a",source="progress"} 12.5',
    'media_speed_ratio{job_id="a",source="progress"} 0.8',
    'progress_ratio{job_id="a",source="progress"} 0.42',
    'frames_total{job_id="a"} 300',
    'gpu_utilization_ratio{job_id="a",engine="encoder"} 0.5',
    'gpu_encoder_sessions{job_id="a"} 1',
  ])
    expect(shown).toContain(`ffrtmp_job_${line}\n`);
  for (const unknown of ["retransmitted", "device_bytes", "frames_dropped", 'engine="sm"'])
    expect(shown).not.toContain(unknown);
});

test("the sum of other jobs has no number that means nothing for several", () => {
  const uses = ["a", "b"].map((jobId) => someUse(someJob({ jobId }), {}, { network: NETWORK }));
  const shown = text(uses, 0);
  expect(shown).toContain('network_send_backlog_bytes{job_id="(others)"} 1000\n');
  expect(shown).not.toContain("send_backlog_seconds");
});

test("an ended job keeps its counters, unless another job has its id or the jobs are too many", () => {
  const use = (jobId: string, usec: number) => someUse(someJob({ jobId }), { cpuUsec: usec });
  const ended = [use("a", 1e6), use("b", 2e6), use("b", 3e6)];
  const shown = text([use("a", 9e6)], undefined, ended);
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="a"} 9\n');
  expect(shown).not.toContain('cpu_seconds_total{job_id="a"} 1\n');
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="b"} 3\n');
  expect(shown).not.toContain('ffrtmp_job_memory_bytes{job_id="b"}');
  expect(shown).toContain("ffrtmp_jobs_not_exported 0\n");
  expect(text([use("a", 9e6)], 1, ended)).not.toContain('job_id="b"');
});

test("a job has a series for what holds it back, and is known to be live", () => {
  const pace = { targetSpeed: 1, input: "file", isPaced: true } as const;
  const hindrance = someHindrance({ verdict: "own_limit" });
  const live = text([someUse(someJob({ jobId: "live-1" }), {}, { pace, hindrance })]);
  expect(live).toContain('ffrtmp_job_hindered{job_id="live-1",reason="own_limit"} 1\n');
  expect(live).toMatch(/ffrtmp_job_info\{job_id="live-1",.*,kind="live"\} 1\n/);
  const batch = text([someUse(someJob({ jobId: "live-1", intent: "batch" }), {}, { pace })]);
  expect(batch).not.toContain("ffrtmp_job_hindered{");
  expect(batch).toMatch(/ffrtmp_job_info\{.*,kind=""\} 1\n/);
});

test("of a title that a process gave itself, the first word is shown", () => {
  const job = someJob({ command: ["/usr/sbin/worker --token=abcdefgh1 -o /srv/streamkey"] });
  expect(text([someUse(job, {})])).toContain('command="worker",');
});

test("a limit is exported where the kernel holds it for the job", () => {
  const outcomes: LimitOutcome[] = [
    { limit: "cpu.max", outcome: "applied", wanted: "150000 100000", actual: "150000 100000" },
    { limit: "memory.high", outcome: "refused", wanted: "1000", because: "EACCES" },
    { limit: "memory.max", of: "tenant", outcome: "applied", wanted: "9000", actual: "8192" },
    { limit: "memory.max", outcome: "partial", wanted: "5000", actual: "4096", because: "new memory only" },
  ];
  const shown = text([someUse(someJob({ jobId: "a", outcomes }), {})]);
  expect(shown).toContain('ffrtmp_job_cpu_limit_cores{job_id="a"} 1.5\n');
  expect(shown).toContain('ffrtmp_job_memory_limit_bytes{job_id="a",limit="memory.max"} 4096\n');
  expect(shown.match(/memory_limit_bytes\{/g)).toHaveLength(1);
  expect(text([someUse(someJob(), {})])).not.toContain("limit");
});
