import { ENDED_BEFORE_LIMITS } from "../jobs/exit/sla.ts";
import { enforceLimits } from "../jobs/limits/enforceLimits.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { trimProgressFile } from "../jobs/progressFile.ts";
import { recordActiveDaemon, repairAll } from "../jobs/recovery/recover.ts";
import type { DroppedExecs } from "../linux/events/execFilter.ts";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { ProcessScan } from "../linux/events/processScan.ts";
import { listPids } from "../linux/proc/table.ts";
import type { GovernorState } from "../metrics/governor/state.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import { totalOf } from "../policy/policy.ts";
import { listPolicyChanges } from "../policy/policyChanges.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import { ControlSocket } from "./controlSocket.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import { Discovery } from "./discovery.ts";
import { DaemonDocuments } from "./documents.ts";
import { EventIntake, startEvents } from "./eventIntake.ts";
import { Health } from "./health.ts";
import { HistoryPruner } from "./historyPruner.ts";
import { JobTracker } from "./jobTracker.ts";
import { LiveProtection } from "./liveProtection.ts";
import { PostponedWork } from "./postponedWork.ts";
import { reconcileJobs } from "./reconcileJobs.ts";
import type { Occasion } from "./reconcilePolicy.ts";
import { requestHandlers } from "./requests.ts";
import { Rescans } from "./rescans.ts";
import { DaemonStatistics } from "./statistics.ts";
import { daemonReportJson, type LiveStatus } from "./status.ts";

/** The time for which a process that a scan found is checked again: it may not have its name yet. */
const RECHECK_WINDOW_MS = 5000;

/** Discovers processes, decides, governs and observes them until it is stopped. */
export class WatchDaemon {
  readonly #context: DaemonContext;
  readonly #scan: ProcessScan;
  readonly #statistics: DaemonStatistics;
  readonly #health: Health;
  readonly #tracker: JobTracker;
  readonly #discovery: Discovery;
  readonly #pruner: HistoryPruner;
  readonly #liveProtection: LiveProtection;
  readonly #rescans: Rescans;
  /** The documents about this daemon and its jobs, for the control socket and the web server. */
  readonly documents: DaemonDocuments;
  readonly #stopWatchdog: () => void;
  #reconcileTimer: ReturnType<typeof setInterval> | undefined;
  #controlSocket: ControlSocket | undefined;
  readonly #intake: EventIntake;
  /** Why the policy must be read again; `undefined` when no reload is postponed. */
  #postponedReload: string | undefined;
  #isStopped = false;

  /** Takes over the jobs of an earlier ffrtmp, then scans all processes. */
  static async start(given: Omit<DaemonContext, "postponed">): Promise<WatchDaemon> {
    const postponed = new PostponedWork({
      retry: () => daemon?.retryPostponed(),
      report: (reason) => given.bus.emit({ kind: "work-postponed", reason }),
    });
    const onUnobservedEnd = (job: OpenJob, result: JobResult) =>
      given.bus.emit({ kind: "job-ended", job, result });
    const context = {
      ...given,
      postponed,
      onUnobservedEnd,
      helpers: () => [given.endHook.runnerPid, given.meter.pid],
    };
    // Listen before the first scan and queue events until then, so that no exec is missed.
    const queued: ProcessEvent[] = [];
    let daemon: WatchDaemon | undefined;
    const { events, unavailable } = await startEvents(context, (batch) => {
      if (daemon) daemon.#intake.handle(batch);
      else queued.push(...batch);
    });
    const { store, bus, ledger } = context;
    const { policy, path, warnings } = store;
    const started = { policy, path, warnings, source: events.source, unavailable, ledgerPath: ledger.path };
    const health = new Health(context);
    bus.emit({ kind: "daemon-started", ...started });
    if (store.fleet !== undefined) bus.emit({ kind: "fleet-policy", report: store.fleet });
    daemon = new WatchDaemon(context, events, health);
    recordActiveDaemon(context);
    daemon.#tracker.resumeStoredPidfds();
    repairAll(context);
    daemon.#checkObservers();
    daemon.#openControlSocket();
    const reconciled = daemon.#reconcileJobs("start");
    // Before any event that arrives while this waits.
    daemon.#intake.handle(queued);
    await reconciled;
    await daemon.#discovery.scanAll();
    daemon.#liveProtection.apply();
    daemon.#statistics.write();
    daemon.#emitCounts();
    const reload = () => daemon.reload("the file has changed");
    store.watch(reload);
    // A change before the watch, which would wait for the next scan interval otherwise.
    if (store.hasChanged()) reload();
    return daemon;
  }

  private constructor(context: DaemonContext, events: ProcessEvents, health: Health) {
    this.#context = context;
    this.#health = health;
    this.#statistics = new DaemonStatistics(context, events);
    this.#tracker = new JobTracker(context, events, (pid) => void this.#discovery.consider(pid));
    context.bus.subscribe((event) => {
      if (event.kind === "job-ended" && event.result.slaReason === ENDED_BEFORE_LIMITS)
        this.#statistics.endedBeforeLimits++;
    });
    this.#discovery = new Discovery(context, this.#tracker, ({ comm }) => this.#intake.learnName(comm));
    this.#pruner = new HistoryPruner(context);
    this.#liveProtection = new LiveProtection(context, (job) => this.#tracker.observer.update(job));
    this.documents = new DaemonDocuments(context, this.#tracker.measurements, () => this.status());
    this.#rescans = new Rescans({
      listPids: () => context.postponed.attempt(() => listPids(context.host)) ?? [],
      consider: (pid) => context.scheduling.inBackground(() => this.#discovery.consider(pid)),
      onFound: (pid) => this.#reportFound([pid]),
      onDone: () => {
        this.#statistics.rescans++;
        this.#statistics.writeIfDue();
      },
    });
    this.#intake = new EventIntake(context, events, {
      tracker: this.#tracker,
      discovery: this.#discovery,
      rescans: this.#rescans,
      statistics: this.#statistics,
    });
    this.#stopWatchdog = context.service.startWatchdog(() => this.#intake.isListening);
    // Before the first full scan, which finds the processes that took or executed a name of the policy earlier.
    this.#intake.setNames();
    // Created before the first full scan, so that a process that appears during that scan is new to it.
    this.#scan = new ProcessScan(context.host, RECHECK_WINDOW_MS);
    this.#setReconcileTimer();
  }

  /** Reads the policy again and applies it to all jobs. A policy with errors changes nothing. */
  reload(trigger: string): void {
    this.#postponedReload = trigger;
    this.#inBackground(() => this.#context.postponed.attempt(() => this.#reload(trigger)));
  }

  #reload(trigger: string): void {
    const { store, service, bus } = this.#context;
    service.reloading();
    const fleetBefore = store.fleet;
    const before = store.reload();
    const { policy, path, warnings, faults, fleet } = store;
    if (fleet !== undefined && !Bun.deepEquals(fleet, fleetBefore))
      bus.emit({ kind: "fleet-policy", report: fleet });
    if (before === undefined) bus.emit({ kind: "policy-rejected", trigger, path, faults });
    else {
      const changes = listPolicyChanges(before.written ?? new Map(), policy.written ?? new Map());
      bus.emit({ kind: "policy-loaded", trigger, policy, path, warnings, changes });
      // Before the scan, which finds the processes that took a name of the new policy earlier.
      this.#intake.setNames();
      if (policy.scanIntervalMs !== before.scanIntervalMs) {
        this.#setReconcileTimer();
        // Polling has a timer of its own.
        if (this.#intake.isPolling()) void this.#intake.restart();
      }
      this.#inBackground(() => this.#context.postponed.attemptAsync(() => this.#applyPolicy()));
      return;
    }
    this.#finishReload();
  }

  async #applyPolicy(): Promise<void> {
    await this.#reconcileJobs("reload");
    await this.#discovery.scanAll();
    if (this.#isStopped) return;
    this.#liveProtection.apply();
    this.#pruner.recordRetention();
    this.#finishReload();
  }

  #finishReload(): void {
    this.#statistics.write();
    this.#emitCounts();
    this.#context.service.ready();
    this.#postponedReload = undefined;
  }

  /** Does what was postponed because there were too few file descriptors. */
  retryPostponed(): void {
    this.#intake.retry();
    if (this.#postponedReload !== undefined) this.reload(this.#postponedReload);
    this.#context.postponed.attempt(() => this.#tracker.checkObservers());
    // Execs that were not considered, and processes that a rule with an age passed over.
    this.#rescans.request();
  }

  /** Stops observing. The jobs keep running under their limits. `cause`: a signal, or `--once`. */
  async stop(cause: string): Promise<void> {
    const { ledger, host, store, service, bus } = this.#context;
    service.stopping();
    this.#isStopped = true;
    // Before the jobs are released: a job that is handed over now would have no observer.
    this.#controlSocket?.stop();
    this.#stopWatchdog();
    clearInterval(this.#reconcileTimer);
    store.stop();
    this.#context.postponed.stop();
    this.#rescans.stop();
    this.#discovery.stop();
    this.#pruner.stop();
    this.#liveProtection.stop();
    this.#context.slowReader.stop();
    this.#tracker.releaseAll(cause);
    // After the last ends are recorded, for which it runs too.
    this.#context.meter.stop();
    await this.#context.endHook.stop();
    this.#statistics.write(host.now());
    bus.emit({ kind: "daemon-stopped", counts: this.#statistics.counts() });
    ledger.close();
    await this.#intake.stop();
  }

  #openControlSocket(): void {
    const { options, state, bus } = this.#context;
    if (!options.answersRequests) return;
    const handlers = requestHandlers({
      tracker: this.#tracker,
      documents: this.documents,
      status: () => this.status(),
      hasConnector: () => this.#intake.source === "connector",
      isStopped: () => this.#isStopped,
    });
    const socket = ControlSocket.open(state, handlers);
    if (socket instanceof ControlSocket) this.#controlSocket = socket;
    else bus.emit({ kind: "control-socket-failed", reason: socket.reason });
  }

  jobs(): Iterable<OpenJob> {
    return this.#tracker.observer.jobs().values();
  }

  /** Returns what each observed job uses, as it was read last: at most 10 s ago, see `keepFresh`. Measures nothing. */
  uses(): JobUse[] {
    return this.#tracker.measurements.uses();
  }

  /** Returns the same of the jobs that have ended in the last 5 minutes, as they were read last, the latest last. */
  endedUses(): JobUse[] {
    return this.#tracker.measurements.endedUses();
  }

  /** Returns the machine's NVIDIA devices, as they were read last. Empty without a driver, and while there is no job. */
  devices(): readonly DeviceReading[] {
    return this.#context.meter.devices() ?? [];
  }

  /** Returns what the headroom governor does; `undefined` while it does nothing. */
  governor(): GovernorState | undefined {
    return this.#liveProtection.governor();
  }

  /**
   * Reads all jobs each second for the next 5 s, or this long, so that `uses` is at most a second old. Call it again and
   * again for as long as a viewer looks.
   */
  keepFresh(forMs?: number): void {
    this.#tracker.measurements.keepFresh(forMs);
  }

  /** Returns the state of this daemon now. */
  status(): LiveStatus {
    const problems = this.#health.problems(this.#intake.source, this.#tracker.measurements.shortOfCpu());
    const jobs = this.#tracker.observer.jobs().size;
    const { run, failed, dropped } = this.#context.endHook.counts;
    const hooks = { on_end_run: run, on_end_failed: failed, on_end_dropped: dropped };
    return {
      ...daemonReportJson({ ...this.#statistics.report(), state: "running" }),
      jobs,
      ...hooks,
      problems,
    };
  }

  #setReconcileTimer(): void {
    clearInterval(this.#reconcileTimer);
    const reconcile = () =>
      this.#inBackground(() => this.#context.postponed.attempt(() => this.#reconcile()));
    this.#reconcileTimer = setInterval(reconcile, scanIntervalOf(this.#context));
  }

  #inBackground(action: () => unknown): void {
    this.#context.scheduling.inBackground(action);
  }

  /** Catches up on everything that no event reports. With polling, the events themselves come from scans. */
  #reconcile(): void {
    const { ledger, store } = this.#context;
    ledger.flush();
    this.#checkObservers();
    this.#tracker.lingeringJobs.cleanUp();
    if (store.hasChanged()) this.reload("the file has changed");
    this.#maintainJobs();
    this.#statistics.writeIfDue();
    this.#emitCounts();
    if (this.#intake.isPolling()) {
      void this.#discovery.considerAll(this.#discovery.takeUnread());
      return;
    }
    const dropped = this.#intake.takeDroppedExecs();
    const pids = this.#scan.scan(dropped).events.flatMap((event) => ("pid" in event ? [event.pid] : []));
    void this.#discovery
      .considerAll([...this.#discovery.takeUnread(), ...pids])
      .then((found) => this.#reportFound(found, dropped));
  }

  #checkObservers(): void {
    this.#tracker.checkObservers();
    this.#health.countUnobserved();
  }

  /** Restores limits, and keeps the files of `run --progress` small whose `run` is gone. */
  #maintainJobs(): void {
    const { store, bus } = this.#context;
    for (const before of this.#tracker.ownJobs()) {
      const total = before.tenant === null ? undefined : totalOf(store.policy, before.tenant);
      const { job, repairs } = enforceLimits(this.#context, before, total);
      this.#tracker.observer.update(job);
      for (const repair of repairs) bus.emit({ kind: "limit-repaired", job, repair });
      trimProgressFile(this.#context.state, job);
    }
    this.#liveProtection.apply();
  }

  #reconcileJobs(occasion: Occasion): Promise<void> {
    return reconcileJobs(this.#context, this.#tracker, occasion, () => this.#isStopped);
  }

  #emitCounts(): void {
    this.#context.bus.emit({
      kind: "counted",
      jobs: this.#tracker.observer.jobs().size,
      source: this.#intake.source,
      isPolicyValid: this.#context.store.faults.length === 0,
      counts: this.#statistics.counts(),
    });
  }

  #reportFound(pids: number[], dropped?: DroppedExecs): void {
    for (const pid of pids) {
      this.#statistics.foundByScan++;
      this.#context.bus.emit({ kind: "process-found-by-scan", pid, isFiltered: dropped?.has(pid) ?? false });
    }
  }
}
