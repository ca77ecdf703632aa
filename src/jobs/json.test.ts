import { describe, expect, it } from "bun:test";
import { someEndedJob, someJob, someResult, someStartingJob } from "../../test/support/jobs.ts";
import { UNKNOWN_USAGE } from "../limits/usage.ts";
import { isoTime, jobJson, jobUsageJson, resultJson, usageJson } from "./json.ts";

describe("resultJson()", () => {
  it("has every field of a result, under names that do not change", () => {
    const job = someJob({ intent: "live", slaEligible: true, labels: { node: "edge-1" } });
    expect(resultJson(job, someResult(job))).toEqual({
      job_id: "transcode-001",
      pid: 4026,
      mode: "run",
      command: ["ffmpeg", "-i", "in put.mkv"],
      command_cut: false,
      command_masked: false,
      ending: "exited",
      start_time: "2023-11-14T22:13:20.010Z",
      end_time: "2023-11-14T22:13:32.010Z",
      last_seen: null,
      ended_before: null,
      processing_seconds: 12,
      runtime_seconds: 12,
      runtime_at_most_seconds: 12,
      runtime_at_least_seconds: 12,
      duration_clock: "boot",
      exit_code: 0,
      signal: null,
      exit_evidence: "parent",
      exit_unknown_because: null,
      outcome: "succeeded",
      platform_sla_compliant: true,
      platform_sla_reason: "completed_successfully",
      sla_eligible: true,
      intent: "live",
      tenant: null,
      labels: { node: "edge-1" },
      limits: [],
      usage: {
        ...usageJson(UNKNOWN_USAGE),
        memory_peak_partial: false,
        memory_peak_partial_because: null,
      },
      hindered_seconds: null,
      log: null,
    });
  });

  it("gives bounds, and no runtime, where the end of the process is not known", () => {
    const job = someJob();
    const [unseen, detached] = [
      someResult(job, { ending: { kind: "unobserved", reason: "x" }, endedBeforeMs: 1_700_000_012_010 }),
      someResult(job, { ending: { kind: "detached" } }),
    ].map((result) => resultJson(job, result));
    expect(unseen).toMatchObject({
      outcome: "unknown",
      runtime_seconds: null,
      runtime_at_most_seconds: 12,
      runtime_at_least_seconds: null,
    });
    expect(detached).toMatchObject({
      outcome: "unknown",
      runtime_seconds: null,
      runtime_at_most_seconds: null,
      runtime_at_least_seconds: 12,
      processing_seconds: 12,
    });
  });

  it("says null, not 0, of a job that never started", () => {
    const result = someResult(someJob(), {
      startMs: null,
      ending: { kind: "never-started", reason: "x" },
    });
    expect(resultJson(someEndedJob({ process: null, startedMs: null }), result)).toMatchObject({
      pid: null,
      start_time: null,
      processing_seconds: null,
      exit_code: null,
      exit_unknown_because: "x",
    });
  });
});

describe("usageJson()", () => {
  it("counts in seconds and bytes", () => {
    expect(
      usageJson({ ...UNKNOWN_USAGE, cpuUserUsec: 1_500_000, memoryPeakBytes: 4096, oomKills: 0 }),
    ).toEqual({
      cpu_user_seconds: 1.5,
      cpu_system_seconds: null,
      throttled_seconds: null,
      memory_peak_bytes: 4096,
      cpu_pressure_seconds: null,
      memory_pressure_seconds: null,
      io_pressure_seconds: null,
      memory_max_hits: null,
      oom_kills: 0,
      io_read_bytes: null,
      io_write_bytes: null,
    });
  });
});

describe("jobUsageJson()", () => {
  const usage = { ...UNKNOWN_USAGE, memoryPeakBytes: 4096 };
  const cgroup = [{ hierarchy: "", path: "/sys/fs/cgroup/service", placedAs: "in-place" as const }];

  it("says that the peak of a job which was not started inside of its cgroup is partial", () => {
    const partial = {
      memory_peak_partial: true,
      memory_peak_partial_because: "charged elsewhere before it was governed",
    };
    expect(jobUsageJson(someJob({ mode: "attach" }), usage)).toMatchObject(partial);
    expect(jobUsageJson(someJob({ mode: "watch" }), usage)).toMatchObject(partial);
    expect(jobUsageJson(someJob({ carriedUsage: usage }), usage)).toMatchObject({
      memory_peak_partial: true,
      memory_peak_partial_because: "charged elsewhere before it was moved to another cgroup",
    });
  });

  it("says nothing about a peak that is whole or unknown", () => {
    const whole = { memory_peak_partial: false, memory_peak_partial_because: null };
    expect(jobUsageJson(someJob({ mode: "run" }), usage)).toMatchObject(whole);
    expect(jobUsageJson(someJob({ mode: "attach", cgroup }), usage)).toMatchObject(whole);
    expect(jobUsageJson(someJob({ mode: "attach" }), UNKNOWN_USAGE)).toMatchObject(whole);
  });
});

describe("jobJson()", () => {
  it("names the observer, the cgroups and the log", () => {
    const cgroup = [
      {
        hierarchy: "cpu",
        path: "/sys/fs/cgroup/cpu/ffrtmp-0a1b2c-x",
        origin: "/sys/fs/cgroup/cpu",
        enabled: [],
      },
    ];
    expect(jobJson(someJob({ cgroup, logPath: "/var/log/x" }))).toMatchObject({
      state: "running",
      observer_pid: 4025,
      cgroups: ["/sys/fs/cgroup/cpu/ffrtmp-0a1b2c-x"],
      log: "/var/log/x",
    });
    expect(jobJson(someJob({ observer: null }))).toMatchObject({ observer_pid: null });
    expect(jobJson(someEndedJob())).toMatchObject({ observer_pid: null });
    expect(jobJson(someStartingJob())).toMatchObject({ observer_pid: 4025, start_time: null });
  });
});

describe("isoTime()", () => {
  it("keeps milliseconds, in UTC", () => {
    expect(isoTime(1_700_000_000_001)).toBe("2023-11-14T22:13:20.001Z");
    expect(isoTime(null)).toBeNull();
  });
});
