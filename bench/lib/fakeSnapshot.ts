import type { JobViewJson, SnapshotJson } from "../../src/json/snapshotSchemas.ts";

/** Snapshots of a machine with as many jobs as wanted, whose figures change from second to second. */

const START_MS = Date.parse("2026-11-26T12:00:00Z");
const NAMES = ["channel", "restream", "vod", "cam-lobby", "thumbs", "archive", "abr-ladder"];
const TENANTS = ["acme", "blue", null];
const GIB = 1024 ** 3;

/** A number from 0 to 1 that is the same for the same arguments. */
function noise(job: number, second: number): number {
  const value = Math.sin(job * 12.9898 + second * 78.233) * 43758.5453;
  return value - Math.floor(value);
}

export function fakeSnapshot(jobCount: number, second: number): SnapshotJson {
  const time = new Date(START_MS + second * 1000).toISOString();
  const jobs = Array.from({ length: jobCount }, (_, index) => fakeJob(index, second, time));
  return {
    time,
    hostname: "edge-03",
    ffrtmp_version: "0.1.0",
    boot_time: new Date(START_MS - 86_400_000).toISOString(),
    daemon_start_time: new Date(START_MS - 3_600_000).toISOString(),
    daemon_pid: 812,
    machine: {
      cpu_count: 16,
      cpu_busy_percent: 60 + 4 * noise(0, second),
      cpu_pressure_percent: 4,
      memory_pressure_percent: 0,
      memory_full_pressure_percent: 0,
      io_pressure_percent: 1,
      io_full_pressure_percent: 0,
      memory_total_bytes: 64 * GIB,
      memory_available_bytes: 53 * GIB,
    },
    counts: { running: jobCount, hindered: Math.min(3, jobCount), by_tenant: [] },
    sla: {
      since: time,
      until: time,
      overall: { eligible: 1204, compliant: 1202, violations: 2, rate_percent: 99.83, reasons: [] },
      tenants: [],
      not_eligible: 0,
    },
    events: { source: "proc connector", dropped: 0 },
    problems: [],
    jobs,
    tenants: [],
    gpus: [],
    ended: [],
  };
}

function fakeJob(index: number, second: number, time: string): JobViewJson {
  const quota = index % 4 === 1 ? null : 1 + (index % 3) / 2;
  const cores = (quota ?? 2) * (0.4 + 0.3 * noise(index, second));
  const tenant = TENANTS[index % TENANTS.length] as string | null;
  const ids = {
    job_id: `${NAMES[index % NAMES.length]}-${index}`,
    pid: 4000 + index,
    user: "media",
    tenant,
  };
  const present = {
    cpu_percent: 100 * cores,
    memory_bytes: (290 + 80 * noise(index, second)) * 1024 ** 2,
    memory_source: "cgroup" as const,
    memory_charged_bytes: 400 * 1024 ** 2,
    memory_rss_bytes: 380 * 1024 ** 2,
    process_count: 1,
    hindrance: null,
    sure_cores: null,
    need_cores: null,
    need_sample_seconds: null,
    need_while_keeping_up: null,
    cpu_shortfall: null,
  };
  return {
    ...ids,
    ...present,
    state: "running",
    mode: "watch",
    command:
      `ffmpeg -re -i /srv/in/${index}.ts -c:v libx264 -preset veryfast -f flv rtmp://live.example/app/***`.split(
        " ",
      ),
    command_cut: false,
    command_masked: true,
    cwd: "/srv",
    uid: 1000,
    start_time: new Date(START_MS - 1000 * (index + 8040)).toISOString(),
    observer_pid: 812,
    intent: null,
    sla_eligible: true,
    labels: {},
    limits:
      quota === null
        ? []
        : [
            {
              limit: "cpu.max",
              outcome: "applied",
              wanted: `${quota * 100_000} 100000`,
              actual: `${quota * 100_000} 100000`,
            },
          ],
    limits_by_hand: [],
    cgroups: [],
    log: null,
    decided_by: "target_commands",
    rule: null,
    outcome: null,
    result: null,
    limits_in_force: {
      cpu_cores: quota,
      memory_high_bytes: null,
      memory_max_bytes: index % 5 === 0 ? null : 2 * GIB,
      task_count: null,
    },
    cpu_history: Array.from(
      { length: 24 },
      (_, step) => (quota ?? 2) * (0.4 + 0.3 * noise(index, Math.floor(second / 5) - 23 + step)),
    ),
    use: fakeUse(index, second, { ...ids, ...present, time }) as NonNullable<JobViewJson["use"]>,
  };
}

function fakeUse<Known extends object>(index: number, second: number, known: Known) {
  const isLive = index % 3 !== 0;
  return {
    ...known,
    kind: "job",
    interval_seconds: 1,
    throttled_percent: 0,
    io_read_bytes_per_second: 500_000 * noise(index, second),
    io_write_bytes_per_second: 0,
    gpu: null,
    cpu_pressure_percent: 3,
    memory_pressure_percent: 0,
    memory_full_pressure_percent: 0,
    io_pressure_percent: 0,
    io_full_pressure_percent: 0,
    cpu_wait_percent: null,
    memory_anonymous_bytes: 300 * 1024 ** 2,
    memory_file_bytes: 60 * 1024 ** 2,
    memory_peak_bytes: 420 * 1024 ** 2,
    oom_kills: 0,
    task_count: 14,
    major_faults_per_second: 0,
    io_read_operations_per_second: 4,
    io_write_operations_per_second: 0,
    network: isLive
      ? {
          tcp_connections: 1,
          tcp_sent_bytes: 500_000 * second,
          tcp_received_bytes: 0,
          tcp_retransmitted_bytes: 0,
          tcp_sent_bytes_per_second: 500_000 + 50_000 * noise(index, second),
          tcp_received_bytes_per_second: 0,
          send_backlog_bytes: 0,
          send_backlog_seconds: 0,
          receive_backlog_bytes: 0,
          receiver_limited_percent: 0,
          device_sent_bytes: null,
          device_received_bytes: null,
          device_sent_bytes_per_second: null,
          device_received_bytes_per_second: null,
        }
      : null,
    media: {
      source: isLive ? "progress" : "input",
      media_seconds: second,
      length_seconds: isLive ? null : 3600,
      percent: isLive ? null : (index * 7) % 99,
      percent_is_estimate: false,
      speed: isLive ? 1 : 2.3 + 0.3 * noise(index, second),
      speed_over_seconds: 15,
      remaining_seconds: isLive ? null : 60 * (index % 40),
      state: "running",
    },
  };
}
