import { expect, test } from "bun:test";
import { someJob } from "../../test/support/jobs.ts";
import { someSample } from "../../test/support/samples.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import { formatFor, renderMetrics } from "./exposition.ts";
import { jobFamilies } from "./jobMetrics.ts";

const text = (...args: Parameters<typeof jobFamilies>) =>
  renderMetrics(jobFamilies(...args), formatFor(null));

test("a job has the counters that the kernel has, and nothing that is unknown", () => {
  const job = someJob({
    jobId: "live-1",
    mode: "watch",
    tenant: "acme",
    command: ["/usr/bin/ffmpeg", "-i", "x"],
  });
  const shown = text([someSample(job, { cpuUsec: 12_500_000, quotaPeriods: 10, throttledPeriods: 0 })]);
  expect(shown).toContain('ffrtmp_job_info{job_id="live-1",mode="watch",tenant="acme",command="ffmpeg"} 1\n');
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="live-1"} 12.5\n');
  expect(shown).toContain('ffrtmp_job_cpu_throttled_periods_total{job_id="live-1"} 0\n');
  expect(shown).not.toContain("pressure");
  expect(shown).not.toContain("/usr/bin");
});

test("jobs beyond the limit are summed, where the number is known of all of them", () => {
  const jobs = ["c", "a", "b"].map((jobId) => someJob({ jobId }));
  const samples = jobs.map((job, index) =>
    someSample(job, { cpuUsec: 1e6, ioReadBytes: index === 0 ? null : 5 }),
  );
  const shown = text(samples, 1);
  expect(shown).toContain("ffrtmp_jobs_not_exported 2\n");
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="a"} 1\n');
  expect(shown).toContain('ffrtmp_job_cpu_seconds_total{job_id="(others)"} 2\n');
  expect(shown).toContain('ffrtmp_job_io_bytes_total{job_id="a",direction="read"} 5\n');
  // Unknown for c.
  expect(shown).not.toContain('job_id="(others)",direction="read"');
  expect(shown).not.toContain('job_id="b"');
});

test("the last part of a URL in place of a command is shown nowhere", () => {
  const job = someJob({ command: ["rtmp://live.example/app/streamkey"] });
  expect(text([someSample(job, {})])).not.toContain("streamkey");
});

test("of a title that a process gave itself, the first word is shown", () => {
  const job = someJob({ command: ["/usr/sbin/worker --token=abcdefgh1 -o /srv/streamkey"] });
  expect(text([someSample(job, {})])).toContain('command="worker"} 1\n');
});

test("a limit is exported where the kernel holds it for the job", () => {
  const outcomes: LimitOutcome[] = [
    { limit: "cpu.max", outcome: "applied", wanted: "150000 100000", actual: "150000 100000" },
    { limit: "memory.high", outcome: "refused", wanted: "1000", because: "EACCES" },
    { limit: "memory.max", of: "tenant", outcome: "applied", wanted: "9000", actual: "8192" },
    { limit: "memory.max", outcome: "partial", wanted: "5000", actual: "4096", because: "new memory only" },
  ];
  const shown = text([someSample(someJob({ jobId: "a", outcomes }), {})]);
  expect(shown).toContain('ffrtmp_job_cpu_limit_cores{job_id="a"} 1.5\n');
  expect(shown).toContain('ffrtmp_job_memory_limit_bytes{job_id="a",limit="memory.max"} 4096\n');
  expect(shown.match(/memory_limit_bytes\{/g)).toHaveLength(1);
  expect(text([someSample(someJob(), {})])).not.toContain("limit");
});
