import type { Context } from "../jobs/context.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import { isOpen, type Job } from "../jobs/model/job.ts";
import { jobCgroupOf, usageOf } from "../jobs/placement/jobCgroup.ts";
import type { EventPageJson, JobDetailJson, PolicyInForceJson, ResultPageJson } from "../json/apiSchemas.ts";
import { jobDetailJson } from "../json/jobDetail.ts";
import { eventPageJson, type HistoryPlace, resultPageJson } from "../json/pages.ts";
import { policyInForceJson } from "../json/policyInForce.ts";
import { UNKNOWN_USAGE, type Usage } from "../limits/usage.ts";
import { decodeHistory, type StoredHistory } from "../metrics/history/encoding.ts";
import { RINGS, type RingName } from "../metrics/history/jobHistory.ts";
import { shortenHistory } from "../metrics/history/shorten.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import type { JobMeasurements } from "./jobMeasurements.ts";
import { type ShownStatus, Snapshots } from "./snapshots.ts";

/** The events of one job that are shown. */
const MAX_EVENTS = 1000;
/** The counters of a job's cgroup are read at most this often, however many ask. */
const USAGE_MAX_AGE_MS = 1000;
const MAX_USAGES = 1000;

/** The parts of a daemon from which the documents are made. */
export type DocumentContext = Context &
  Pick<DaemonContext, "bus" | "meter" | "options" | "scheduling" | "store">;
export type DocumentMeasurements = Pick<JobMeasurements, "keepFresh" | "ringsOf" | "views">;

interface PageOf<Place> {
  readonly limit: number;
  readonly before?: Place | undefined;
}

export interface HistoryPage extends PageOf<HistoryPlace> {
  readonly onlyFailed?: boolean;
  readonly onlyViolations?: boolean;
}

/**
 * Makes the documents that a daemon shows, from what it has read already and from its ledger. Each is bounded, whatever the
 * size of the history.
 */
export class DaemonDocuments {
  readonly #context: DocumentContext;
  readonly #measurements: DocumentMeasurements;
  readonly #snapshots: Snapshots;
  readonly #usages = new Map<string, { atMs: number; usage: Usage }>();

  constructor(context: DocumentContext, measurements: DocumentMeasurements, status: () => ShownStatus) {
    this.#context = context;
    this.#measurements = measurements;
    this.#snapshots = new Snapshots(context, {
      status,
      views: () => measurements.views(),
      devices: () => context.meter.devices() ?? [],
    });
  }

  /** Runs the making of documents, and what belongs to it, with the priority of an ordinary program. */
  inBackground<T>(work: () => T): T {
    return this.#context.scheduling.inBackground(work);
  }

  /** Returns the present snapshot, at most a second old. Jobs are read each second for as long as it is asked for. */
  snapshot(): string {
    this.#measurements.keepFresh();
    return this.#snapshots.latest().text;
  }

  /** Returns the jobs of the present snapshot. */
  jobs(): string {
    this.#measurements.keepFresh();
    return this.#snapshots.latest().jobsText;
  }

  /**
   * Returns the open job with this id, or the last one that ended. `undefined`: there was none. `points`: at most so many
   * points of each history.
   */
  job(jobId: string, points: number): JobDetailJson | undefined {
    const { ledger, host } = this.#context;
    this.#measurements.keepFresh();
    const view = this.#measurements.views().find(({ job }) => job.jobId === jobId);
    const named = view === undefined ? ledger.jobsNamed(jobId) : [];
    const job = view?.job ?? named.find(isOpen) ?? named[0];
    if (job === undefined) return undefined;
    const result = isOpen(job) ? undefined : ledger.result(job);
    const detailed = {
      job,
      result,
      use: view?.use,
      cores: view?.cores ?? [],
      usage: this.#usageOf(job, result),
      rings: this.#ringsOf(job, points),
      events: ledger.latestEvents(job, MAX_EVENTS),
    };
    return jobDetailJson(detailed, { wallMs: host.now(), bootMs: host.bootNow() });
  }

  history({ limit, ...filter }: HistoryPage): ResultPageJson {
    return resultPageJson(this.#context.ledger.history(limit + 1, filter), limit);
  }

  events({ limit, before }: PageOf<number>): EventPageJson {
    return eventPageJson(this.#context.ledger.latestOfAll(limit + 1, before), limit);
  }

  policy(): PolicyInForceJson {
    const { policy, path = null, loadedMs, faults, warnings } = this.#context.store;
    const scanIntervalMs = scanIntervalOf(this.#context);
    const jobs = this.#measurements.views().map(({ job }) => job);
    return policyInForceJson({ policy, path, loadedMs, faults, warnings, scanIntervalMs, jobs });
  }

  #usageOf(job: Job, result: JobResult | undefined): Usage {
    if (!isOpen(job)) return result?.usage ?? UNKNOWN_USAGE;
    const nowMs = this.#context.host.bootNow();
    const known = this.#usages.get(job.key);
    if (known !== undefined && nowMs - known.atMs < USAGE_MAX_AGE_MS) return known.usage;
    if (this.#usages.size >= MAX_USAGES) this.#usages.clear();
    const usage = usageOf(job, jobCgroupOf(this.#context, job));
    this.#usages.set(job.key, { atMs: nowMs, usage });
    return usage;
  }

  #ringsOf(job: Job, points: number): Partial<Record<RingName, StoredHistory>> {
    const rings = this.#measurements.ringsOf(job.key);
    const recorded = rings.life === undefined ? this.#context.ledger.usageHistory(job) : undefined;
    const life = rings.life ?? (recorded && decodeHistory(recorded));
    const all = { ...rings, ...(life && { life }) };
    return Object.fromEntries(
      RINGS.flatMap((name) => {
        const ring = all[name];
        return ring === undefined ? [] : [[name, shortenHistory(ring, points)]];
      }),
    );
  }
}
