import type { GovernorState } from "../metrics/governor/state.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";
import { MAX_JOBS } from "./jobMetrics.ts";

/** Returns no family while there is no governor, or it does nothing. */
export function governorFamilies(state: GovernorState | undefined, maxJobs = MAX_JOBS): MetricFamily[] {
  if (state === undefined) return [];
  const labels = { mode: state.mode };
  const gauge = (name: string, help: string, samples: readonly MetricSample[]): MetricFamily => ({
    ...{ name, type: "gauge", help, samples },
  });
  return [
    gauge("ffrtmp_governor_left_cores", "Cores that the headroom governor divides among batch jobs.", [
      { labels, value: state.leftCores },
    ]),
    gauge("ffrtmp_governor_others_cores", "The most that all but batch used in the last 2 s, in cores.", [
      { labels, value: state.othersCores },
    ]),
    gauge(
      "ffrtmp_governor_quota_cores",
      "CPU quota that the headroom governor has set. In mode dry-run, it would set it.",
      state.quotas
        .slice(0, maxJobs)
        .flatMap(({ jobId, quotaCores }) =>
          quotaCores === null ? [] : [{ labels: { ...labels, job_id: jobId }, value: quotaCores }],
        ),
    ),
  ];
}
