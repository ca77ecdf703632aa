import type { Context } from "../jobs/context.ts";
import { enforceLimits } from "../jobs/limits/enforceLimits.ts";
import { recordActiveDaemon } from "../jobs/liveness.ts";
import { repairAll } from "../jobs/recovery/recover.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { type EventChoice, type StartedEvents, startBestEvents } from "../linux/events/bestEvents.ts";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { ProcessScan } from "../linux/events/processScan.ts";
import { totalOf } from "../policy/policy.ts";
import { FactReader } from "../policy/procFacts.ts";
import { Discovery } from "./discovery.ts";
import type { DaemonEvents } from "./events.ts";
import { JobTracker } from "./jobTracker.ts";
import type { PolicyStore } from "./policyStore.ts";
import { type Occasion, reconcileJob } from "./reconcilePolicy.ts";
import type { ServiceManager } from "./serviceManager.ts";
import { DaemonStatistics } from "./statistics.ts";

export interface WatchOptions {
  /** Interval between full process scans; `undefined`: the policy's, or 5 s. */
  scanIntervalMs: number | undefined;
  eventChoice: EventChoice;
  /** Size of the buffer for process events that wait to be read. */
  eventBufferBytes: number;
  /** Where to create the cgroups of discovered processes. */
  placement?: Placement;
}

/** How long a process that a scan found is checked again, because it may not have its name yet. */
const RECHECK_WINDOW_MS = 5000;

/** Discovers processes, decides, governs and observes them until it is stopped. */
export class WatchDaemon {
  readonly #context: Context;
  readonly #options: WatchOptions;
  readonly #store: PolicyStore;
  readonly #service: ServiceManager;
  readonly #bus: DaemonEvents;
  #reconcileTimer: ReturnType<typeof setInterval>;
  readonly #scan: ProcessScan;
  readonly #statistics: DaemonStatistics;
  readonly #tracker: JobTracker;
  readonly #discovery: Discovery;
  readonly #reader: FactReader;
  #events: ProcessEvents;
  /** False from the failure of an event source until the next one has started. */
  #isListening = true;
  readonly #stopWatchdog: () => void;

  /** Takes over the jobs of an earlier ffrtmp, then scans all processes. */
  static async start(
    context: Context,
    options: WatchOptions,
    store: PolicyStore,
    service: ServiceManager,
    bus: DaemonEvents,
  ): Promise<WatchDaemon> {
    // Listen before the first scan and queue events until then, so that no exec is missed.
    const queued: ProcessEvent[] = [];
    let daemon: WatchDaemon | undefined;
    const { events, unavailable } = await startEvents(context, options, store, (batch) => {
      if (daemon) daemon.#handle(batch);
      else queued.push(...batch);
    });
    const { policy, path, warnings } = store;
    const { source } = events;
    const ledgerPath = context.ledger.path;
    bus.emit({ kind: "daemon-started", policy, path, warnings, source, unavailable, ledgerPath });
    daemon = new WatchDaemon(context, events, options, store, service, bus);
    recordActiveDaemon(context);
    daemon.#tracker.resumeStoredPidfds();
    repairAll(context);
    daemon.#tracker.checkObservers();
    daemon.#reconcileJobs("start");
    daemon.#discovery.scanAll();
    daemon.#handle(queued);
    daemon.#statistics.write();
    daemon.#emitCounts();
    store.watch(() => daemon.reload("the file has changed"));
    return daemon;
  }

  private constructor(
    context: Context,
    events: ProcessEvents,
    options: WatchOptions,
    store: PolicyStore,
    service: ServiceManager,
    bus: DaemonEvents,
  ) {
    this.#context = context;
    this.#options = options;
    this.#store = store;
    this.#service = service;
    this.#stopWatchdog = service.startWatchdog(() => this.#isListening);
    this.#bus = bus;
    this.#events = events;
    this.#statistics = new DaemonStatistics(context, events, store, () => this.#scanIntervalMs());
    this.#tracker = new JobTracker(context, events, service, bus);
    this.#reader = new FactReader(context.host);
    const { policy } = store;
    this.#discovery = new Discovery(context, this.#reader, policy, this.#tracker, bus, options.placement);
    // Created before the first full scan, so that a process which appears during that scan is new to this one.
    this.#scan = new ProcessScan(context.host, RECHECK_WINDOW_MS);
    this.#reconcileTimer = setInterval(() => this.#reconcile(), this.#scanIntervalMs());
  }

  /** Reads the policy again and applies it to all jobs. A policy with errors changes nothing. */
  reload(trigger: string): void {
    this.#service.reloading();
    const before = this.#store.reload();
    const { policy, path, warnings, faults } = this.#store;
    if (before === undefined) this.#bus.emit({ kind: "policy-rejected", trigger, path, faults });
    else {
      this.#bus.emit({ kind: "policy-loaded", trigger, policy, path, warnings });
      this.#discovery.switchTo(policy);
      if (policy.scanIntervalMs !== before.scanIntervalMs) this.#changeInterval();
      this.#reconcileJobs("reload");
      this.#discovery.scanAll();
    }
    this.#statistics.write();
    this.#emitCounts();
    this.#service.ready();
  }

  /** Stops observing. The jobs keep running under their limits. */
  async stop(): Promise<void> {
    this.#service.stopping();
    this.#stopWatchdog();
    clearInterval(this.#reconcileTimer);
    this.#store.stop();
    this.#discovery.stop();
    this.#tracker.releaseAll();
    const { ledger, host } = this.#context;
    this.#statistics.write(host.now());
    this.#bus.emit({ kind: "daemon-stopped", counts: this.#statistics.counts() });
    ledger.close();
    await this.#events.stop();
  }

  #changeInterval(): void {
    clearInterval(this.#reconcileTimer);
    this.#reconcileTimer = setInterval(() => this.#reconcile(), this.#scanIntervalMs());
    // Polling has a timer of its own.
    if (this.#isPolling()) void this.#restartEvents();
  }

  #scanIntervalMs(): number {
    return scanIntervalOf(this.#options, this.#store);
  }

  #isPolling(): boolean {
    return this.#events.reports.exec === "by scan";
  }

  #handle(batch: ProcessEvent[]): void {
    this.#tracker.handle(batch);
    for (const event of batch) {
      if (event.kind === "exec" || event.kind === "comm") this.#discovery.consider(event.pid);
      else if (event.kind === "lost") this.#recoverLostEvents(event.reason);
      else if (event.kind === "failed") void this.#replaceEvents(event.reason);
    }
  }

  #recoverLostEvents(reason: string): void {
    this.#bus.emit({ kind: "events-lost", reason, dropped: this.#statistics.counts().dropped });
    this.#rescan();
  }

  async #replaceEvents(reason: string): Promise<void> {
    this.#bus.emit({ kind: "event-source-failed", source: this.#events.source, reason });
    await this.#restartEvents();
  }

  async #restartEvents(): Promise<void> {
    this.#isListening = false;
    this.#statistics.closeSource();
    await this.#events.stop();
    const { events, unavailable } = await startEvents(this.#context, this.#options, this.#store, (batch) =>
      this.#handle(batch),
    );
    this.#events = events;
    this.#bus.emit({ kind: "event-source-changed", source: events.source, unavailable });
    this.#statistics.switchTo(events);
    this.#tracker.switchTo(events);
    this.#isListening = true;
    this.#rescan();
  }

  #rescan(): void {
    this.#statistics.countRescan();
    this.#reportFound(this.#discovery.scanAll());
    this.#statistics.writeIfDue();
  }

  /** Catches up on everything that no event reports. With polling, the events themselves come from scans. */
  #reconcile(): void {
    this.#context.ledger.flush();
    this.#tracker.checkObservers();
    this.#tracker.cleanUp();
    if (this.#store.hasChanged()) this.reload("the file has changed");
    this.#enforceLimits();
    this.#statistics.writeIfDue();
    this.#emitCounts();
    if (this.#isPolling()) return;
    const pids = this.#scan.scan().events.flatMap((event) => ("pid" in event ? [event.pid] : []));
    this.#reportFound(pids.filter((pid) => this.#discovery.consider(pid)));
  }

  /** Restores the limits that another program undid. */
  #enforceLimits(): void {
    const { policy } = this.#store;
    for (const job of this.#tracker.ownJobs()) {
      const total = job.tenant === null ? undefined : totalOf(policy, job.tenant);
      const enforced = enforceLimits(this.#context, job, total);
      this.#tracker.update(enforced.job);
      for (const repair of enforced.repairs)
        this.#bus.emit({ kind: "limit-repaired", job: enforced.job, repair });
    }
  }

  /** Applies the policy in force to the jobs that a `watch` started. */
  #reconcileJobs(occasion: Occasion): void {
    for (const job of this.#tracker.ownJobs()) {
      if (job.mode !== "watch") continue;
      const { policy } = this.#store;
      const reconciled = reconcileJob(this.#context, policy, this.#reader, job, occasion);
      switch (reconciled.outcome) {
        case "unchanged":
          break;
        case "changed":
          this.#tracker.update(reconciled.job);
          this.#bus.emit({ kind: "job-changed-by-policy", job: reconciled.job });
          break;
        case "released":
          this.#tracker.forget(job);
          this.#bus.emit({ kind: "job-released-by-policy", job });
          break;
        case "kept":
          this.#bus.emit({ kind: "job-kept-by-policy", job });
          break;
        case "failed":
          this.#bus.emit({ kind: "job-reconcile-failed", job, reason: reconciled.reason });
      }
    }
  }

  #emitCounts(): void {
    this.#bus.emit({ kind: "counted", jobs: this.#tracker.size, counts: this.#statistics.counts() });
  }

  #reportFound(pids: number[]): void {
    for (const pid of pids) {
      this.#statistics.countFoundByScan();
      this.#bus.emit({ kind: "process-found-by-scan", pid });
    }
  }
}

const DEFAULT_SCAN_INTERVAL_MS = 5000;

function scanIntervalOf({ scanIntervalMs }: WatchOptions, { policy }: PolicyStore): number {
  return scanIntervalMs ?? policy.scanIntervalMs ?? DEFAULT_SCAN_INTERVAL_MS;
}

function startEvents(
  { host }: Context,
  options: WatchOptions,
  store: PolicyStore,
  onEvents: (batch: ProcessEvent[]) => void,
): Promise<StartedEvents> {
  return startBestEvents(host, scanIntervalOf(options, store), onEvents, {
    choice: options.eventChoice,
    bufferBytes: options.eventBufferBytes,
  });
}
