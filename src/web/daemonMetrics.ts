import { version } from "../../package.json";
import type { DaemonEvents } from "../daemon/events.ts";
import type { LiveStatus } from "../daemon/status.ts";
import { factsOfEnding, type JobResult } from "../jobs/model/ending.ts";
import type { Job, OpenJob } from "../jobs/model/job.ts";
import { outcomeOf } from "../jobs/model/outcome.ts";
import type { LimitOutcome } from "../limits/outcome.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";
import { Tally } from "./tally.ts";

/** Counts what happens in a daemon since its start, for metrics about all of its jobs together. */
export class DaemonMetrics {
  readonly #startedMs: number;
  readonly #ended = new Tally(["mode", "outcome", "evidence"]);
  readonly #violations = new Tally(["reason"]);
  readonly #limits = new Tally(["limit", "outcome"]);
  #judged = 0;

  constructor(bus: DaemonEvents, startedMs: number) {
    this.#startedMs = startedMs;
    bus.subscribe((event) => {
      if (event.kind === "job-ended") this.#countEnd(event.job, event.result);
      else if (event.kind === "job-attached") this.#countLimits(event.job.outcomes);
    });
  }

  families(status: LiveStatus, jobs: Iterable<OpenJob>): MetricFamily[] {
    const governed = new Tally(["mode", "tenant"]);
    for (const { mode, tenant } of jobs) governed.add(mode, tenant ?? "");
    return [
      gauge("ffrtmp_build_info", "A constant 1 with the version that runs.", [
        { labels: { version, runtime: `bun ${Bun.version}` }, value: 1 },
      ]),
      gauge("ffrtmp_start_time_seconds", "When this watch started, in seconds since the epoch.", [
        { value: this.#startedMs / 1000 },
      ]),
      gauge("ffrtmp_jobs", "Jobs that this watch observes now.", governed.samples()),
      gauge(
        "ffrtmp_health_problems",
        "Problems that exist now, as ffrtmp health reports them.",
        problemsOf(status),
      ),
      counter("ffrtmp_jobs_ended", "Jobs whose end this watch recorded.", this.#ended.samples()),
      counter("ffrtmp_sla_judged", "Ended jobs for which the platform was judged.", [
        { value: this.#judged },
      ]),
      counter(
        "ffrtmp_sla_violations",
        "Ended jobs for which the platform did not do its part.",
        this.#violations.samples(),
      ),
      counter(
        "ffrtmp_limits",
        "Limits of jobs that watch has found, by their outcome.",
        this.#limits.samples(),
      ),
      ...eventFamilies(status),
    ];
  }

  #countEnd({ mode }: Job, { ending, slaCompliant, slaReason }: JobResult): void {
    this.#ended.add(mode, outcomeOf(ending), factsOfEnding(ending).exitEvidence ?? "none");
    this.#judged++;
    // The details in parentheses would make a series of each combination of limits.
    if (!slaCompliant) this.#violations.add(slaReason.replace(/\(.*/s, ""));
  }

  #countLimits(outcomes: readonly LimitOutcome[]): void {
    for (const { limit, outcome } of outcomes) this.#limits.add(limit, outcome);
  }
}

function problemsOf({ problems }: LiveStatus): MetricSample[] {
  const count = (severity: "warning" | "critical") =>
    problems.filter((problem) => problem.severity === severity).length;
  return (["warning", "critical"] as const).map((severity) => ({
    labels: { severity },
    value: count(severity),
  }));
}

/** A count that an event source does not have is absent. */
function eventFamilies(status: LiveStatus): MetricFamily[] {
  const total = (name: string, help: string, value: number | null) =>
    counter(name, help, value === null ? [] : [{ value }]);
  return [
    gauge("ffrtmp_event_source", "A constant 1 with the source of process events.", [
      { labels: { source: status.event_source }, value: 1 },
    ]),
    total("ffrtmp_events_received", "Process events taken from the kernel.", status.events_received),
    total("ffrtmp_events_dropped", "Process events that the kernel dropped.", status.events_dropped),
    total("ffrtmp_event_overruns", "Times that the kernel reported dropped events.", status.overruns),
    total("ffrtmp_rescans", "Scans of all processes because events were lost.", status.rescans),
    total(
      "ffrtmp_found_by_scan",
      "Processes that were governed although no event had reported them.",
      status.found_by_looking,
    ),
    total(
      "ffrtmp_not_governed",
      "Processes that the policy chose and that were not governed.",
      status.not_governed,
    ),
    total("ffrtmp_work_postponed", "Times that work waited for file descriptors.", status.work_postponed),
    total("ffrtmp_facts_late", "Facts of processes that could not be read in time.", status.late_reads),
    total("ffrtmp_on_end_run", "Calls of the command of on_end.", status.on_end_run),
    total("ffrtmp_on_end_failed", "Calls of the command of on_end that failed.", status.on_end_failed),
    total(
      "ffrtmp_on_end_dropped",
      "Ends of jobs for which the command of on_end was not run.",
      status.on_end_dropped,
    ),
    gauge("ffrtmp_policy_valid", "1 if the policy file is valid, 0 if an earlier policy is in force.", [
      { value: status.policy_faults.length === 0 ? 1 : 0 },
    ]),
  ];
}

function gauge(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, type: "gauge", help, samples };
}

function counter(name: string, help: string, samples: readonly MetricSample[]): MetricFamily {
  return { name, type: "counter", help, samples };
}
