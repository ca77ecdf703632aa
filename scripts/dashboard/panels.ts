/** A question to Prometheus, and how its series are named. */
interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  /** Shown when the pointer is over the title. */
  readonly description?: string;
  readonly kind: "stat" | "timeseries";
  /** A unit of Grafana. */
  readonly unit: "none" | "percentunit" | "bytes" | "Bps" | "bps" | "cores" | "speed";
  readonly queries: readonly Query[];
  readonly isStacked?: boolean;
  /** Above it a number is shown as a problem; with `isLowBad`, below it. */
  readonly threshold?: number;
  readonly isLowBad?: boolean;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** The series of one job. `$job_id` is a regular expression. */
const JOB = 'instance=~"$instance",job_id=~"$job_id"';
const MACHINE = 'instance=~"$instance"';
/** With hundreds of jobs, only those that deserve a look are drawn. */
const SHOWN = 20;

const rate = (metric: string, labels = JOB): string => `rate(${metric}{${labels}}[$__rate_interval])`;
const perJob = (expr: string): string => `sum by (job_id) (${expr})`;
const most = (expr: string): string => `topk(${SHOWN}, ${expr})`;
const byJob = (expr: string): Query[] => [{ expr: most(expr), legend: "{{job_id}}" }];

const cores = perJob(rate("ffrtmp_job_cpu_seconds_total"));

/** From top to bottom, in the order in which an operator of streams asks. */
export const ROWS: readonly Row[] = [
  {
    title: "Now",
    panels: [
      {
        ...{ title: "Jobs", kind: "stat", unit: "none" },
        queries: [{ expr: `sum(ffrtmp_jobs{${MACHINE}})`, legend: "" }],
      },
      {
        ...{ title: "Hindered jobs", kind: "stat", unit: "none", threshold: 1 },
        description: "Jobs that something holds back now: run ffrtmp top.",
        queries: [
          { expr: `count(sum by (job_id) (ffrtmp_job_hindered{${JOB}}) > 0) or vector(0)`, legend: "" },
        ],
      },
      {
        ...{ title: "SLA violations, 24 h", kind: "stat", unit: "none", threshold: 1 },
        queries: [
          { expr: `sum(increase(ffrtmp_sla_violations_total{${MACHINE}}[24h])) or vector(0)`, legend: "" },
        ],
      },
      {
        ...{ title: "Events dropped, 24 h", kind: "stat", unit: "none", threshold: 1 },
        description: "Process events that the kernel dropped. Short workloads may have run without limits.",
        queries: [{ expr: `sum(increase(ffrtmp_events_dropped_total{${MACHINE}}[24h]))`, legend: "" }],
      },
      {
        ...{ title: "Health problems", kind: "stat", unit: "none", threshold: 1 },
        description: "Run ffrtmp health on the machine.",
        queries: [{ expr: `sum(ffrtmp_health_problems{${MACHINE}})`, legend: "" }],
      },
    ],
  },
  {
    title: "Jobs",
    panels: [
      {
        ...{ title: "Running jobs", kind: "timeseries", unit: "none", isStacked: true },
        queries: [{ expr: `sum by (mode, tenant) (ffrtmp_jobs{${MACHINE}})`, legend: "{{mode}} {{tenant}}" }],
      },
      {
        ...{ title: "Ended jobs, each hour", kind: "timeseries", unit: "none", isStacked: true },
        queries: [
          {
            expr: `sum by (outcome) (increase(ffrtmp_jobs_ended_total{${MACHINE}}[1h]))`,
            legend: "{{outcome}}",
          },
        ],
      },
      {
        ...{ title: "SLA violations, each hour", kind: "timeseries", unit: "none", isStacked: true },
        queries: [
          {
            expr: `sum by (reason) (increase(ffrtmp_sla_violations_total{${MACHINE}}[1h]))`,
            legend: "{{reason}}",
          },
        ],
      },
    ],
  },
  {
    title: "Are they keeping up?",
    panels: [
      {
        ...{ title: `Speed of the ${SHOWN} slowest`, kind: "timeseries", unit: "speed" },
        ...{ threshold: 0.97, isLowBad: true },
        description: "Media time per time, over the last 15 s. A live job needs 1.",
        queries: [
          {
            expr: `bottomk(${SHOWN}, max by (job_id) (ffrtmp_job_media_speed_ratio{${JOB}}))`,
            legend: "{{job_id}}",
          },
        ],
      },
      {
        ...{ title: "What holds jobs back", kind: "timeseries", unit: "none", isStacked: true },
        queries: [{ expr: `sum by (reason) (ffrtmp_job_hindered{${JOB}})`, legend: "{{reason}}" }],
      },
      {
        ...{ title: "Send backlog", kind: "timeseries", unit: "bytes" },
        description:
          "What jobs have written and their receivers have not acknowledged. It grows where a receiver is too slow.",
        queries: byJob(perJob(`ffrtmp_job_network_send_backlog_bytes{${JOB}}`)),
      },
      {
        ...{ title: "Sent over TCP", kind: "timeseries", unit: "bps" },
        queries: byJob(
          `8 * ${perJob(rate("ffrtmp_job_network_tcp_bytes_total", `${JOB},direction="sent"`))}`,
        ),
      },
    ],
  },
  {
    title: "CPU",
    panels: [
      { ...{ title: "CPU", kind: "timeseries", unit: "cores" }, queries: byJob(cores) },
      {
        ...{ title: "CPU against quota", kind: "timeseries", unit: "percentunit", threshold: 0.95 },
        description: "Only of jobs with a quota.",
        queries: byJob(`${cores} / ${perJob(`ffrtmp_job_cpu_limit_cores{${JOB}}`)}`),
      },
      {
        ...{ title: "Throttled periods", kind: "timeseries", unit: "percentunit", threshold: 0.5 },
        description: "The part of the quota's periods in which the quota stopped the job.",
        queries: byJob(
          `${perJob(rate("ffrtmp_job_cpu_throttled_periods_total"))} / ${perJob(rate("ffrtmp_job_cpu_periods_total"))}`,
        ),
      },
      {
        ...{ title: "Waiting", kind: "timeseries", unit: "percentunit" },
        description: "The part of the time in which at least one thread of the job waited for the resource.",
        queries: [
          {
            expr: most(`sum by (job_id, resource) (${rate("ffrtmp_job_pressure_waiting_seconds_total")})`),
            legend: "{{job_id}} {{resource}}",
          },
        ],
      },
    ],
  },
  {
    title: "Memory and disks",
    panels: [
      {
        ...{ title: "Memory", kind: "timeseries", unit: "bytes" },
        queries: byJob(perJob(`ffrtmp_job_memory_bytes{${JOB}}`)),
      },
      {
        ...{ title: "Memory against limit", kind: "timeseries", unit: "percentunit", threshold: 0.95 },
        description: "Of the lower limit, only of jobs with one.",
        queries: byJob(
          `${perJob(`ffrtmp_job_memory_bytes{${JOB}}`)} / min by (job_id) (ffrtmp_job_memory_limit_bytes{${JOB}})`,
        ),
      },
      {
        ...{ title: "Read and written", kind: "timeseries", unit: "Bps" },
        queries: [
          {
            expr: most(`sum by (job_id, direction) (${rate("ffrtmp_job_io_bytes_total")})`),
            legend: "{{job_id}} {{direction}}",
          },
        ],
      },
      {
        ...{ title: "OOM kills, each hour", kind: "timeseries", unit: "none", threshold: 1 },
        queries: byJob(`${perJob(`increase(ffrtmp_job_oom_kills_total{${JOB}}[1h])`)} > 0`),
      },
    ],
  },
  {
    title: "GPU",
    panels: [
      {
        ...{ title: "Devices", kind: "timeseries", unit: "percentunit", threshold: 0.95 },
        queries: [
          { expr: `ffrtmp_gpu_utilization_ratio{${MACHINE}}`, legend: "{{instance}} {{gpu}} {{engine}}" },
        ],
      },
      {
        ...{ title: "Use by jobs", kind: "timeseries", unit: "percentunit" },
        queries: [
          {
            expr: most(`sum by (job_id, engine) (ffrtmp_job_gpu_utilization_ratio{${JOB}})`),
            legend: "{{job_id}} {{engine}}",
          },
        ],
      },
      {
        ...{ title: "GPU memory of jobs", kind: "timeseries", unit: "bytes" },
        queries: byJob(perJob(`ffrtmp_job_gpu_memory_bytes{${JOB}}`)),
      },
    ],
  },
  {
    title: "The daemon",
    panels: [
      {
        ...{ title: "Limits that were not applied, each hour", kind: "timeseries", unit: "none" },
        queries: [
          {
            expr: `sum by (limit, outcome) (increase(ffrtmp_limits_total{${MACHINE},outcome!="applied"}[1h]))`,
            legend: "{{limit}} {{outcome}}",
          },
        ],
      },
      {
        ...{ title: "Events dropped, each minute", kind: "timeseries", unit: "none", threshold: 1 },
        queries: [{ expr: `increase(ffrtmp_events_dropped_total{${MACHINE}}[1m])`, legend: "{{instance}}" }],
      },
      {
        ...{ title: "Not governed, each hour", kind: "timeseries", unit: "none" },
        description: "Processes that the policy chose and that were not governed: see the log of watch.",
        queries: [{ expr: `increase(ffrtmp_not_governed_total{${MACHINE}}[1h])`, legend: "{{instance}}" }],
      },
    ],
  },
];
