import { version } from "../../package.json";
import { ENDED_BEFORE_LIMITS } from "../jobs/exit/sla.ts";
import { enforceLimits } from "../jobs/limits/enforceLimits.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import type { OpenJob } from "../jobs/model/job.ts";
import { trimProgressFile } from "../jobs/progressFile.ts";
import { recordActiveDaemon, repairAll } from "../jobs/recovery/recover.ts";
import { pidfdsReportExitCodes, type StartedEvents, startBestEvents } from "../linux/events/bestEvents.ts";
import type { DroppedExecs } from "../linux/events/execFilter.ts";
import type { OnEvents, ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { ProcessScan } from "../linux/events/processScan.ts";
import { listPids } from "../linux/proc/table.ts";
import type { Findings } from "../metrics/findings.ts";
import type { GovernorState } from "../metrics/governor/state.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import { commNamesOf, execNamesOf } from "../policy/commNames.ts";
import { totalOf } from "../policy/policy.ts";
import { listPolicyChanges } from "../policy/policyChanges.ts";
import type { DeviceReading } from "../sys/nvml.ts";
import type { Peer } from "../sys/unixSocket.ts";
import { type ControlAnswer, type ControlRequest, ControlSocket } from "./controlSocket.ts";
import { type DaemonContext, scanIntervalOf } from "./daemonContext.ts";
import { isGovernedLast } from "./decision.ts";
import { Discovery } from "./discovery.ts";
import { DaemonDocuments } from "./documents.ts";
import { ExecNames } from "./execNames.ts";
import { Health } from "./health.ts";
import { HistoryPruner } from "./historyPruner.ts";
import { JobTracker } from "./jobTracker.ts";
import { LiveProtection } from "./liveProtection.ts";
import { PostponedWork } from "./postponedWork.ts";
import { decideAgain, type Occasion, reconcileJob } from "./reconcilePolicy.ts";
import { Rescans } from "./rescans.ts";
import { DaemonStatistics } from "./statistics.ts";
import { daemonReportJson, type LiveStatus } from "./status.ts";

/** How long a process that a scan found is checked again, because it may not have its name yet. */
const RECHECK_WINDOW_MS = 5000;
/** A loss is reported at most this often. */
const LOSS_LOG_INTERVAL_MS = 60_000;
/** The points of each history of a job, unless the reader asks for fewer. */
const MAX_POINTS = 360;

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
  readonly #execNames = new ExecNames();
  readonly #stopWatchdog: () => void;
  #reconcileTimer: ReturnType<typeof setInterval> | undefined;
  #controlSocket: ControlSocket | undefined;
  /** Tested when it is first needed. */
  #pidfdsReportExitCodes: Promise<boolean> | undefined;
  #events: ProcessEvents;
  #lossLoggedMs = -Infinity;
  /** Ends of processes whose handling is postponed. */
  #postponedEnds: ProcessEvent[] = [];
  /** Why the policy must be read again; `undefined` when no reload is postponed. */
  #postponedReload: string | undefined;
  /** False from the failure of an event source until the next one has started. */
  #isListening = true;
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
      if (daemon) daemon.#handle(batch);
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
    daemon.#handle(queued);
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
    this.#stopWatchdog = context.service.startWatchdog(() => this.#isListening);
    this.#events = events;
    this.#statistics = new DaemonStatistics(context, events);
    this.#tracker = new JobTracker(context, events, (pid) => void this.#discovery.consider(pid));
    context.bus.subscribe((event) => {
      if (event.kind === "job-ended" && event.result.slaReason === ENDED_BEFORE_LIMITS)
        this.#statistics.endedBeforeLimits++;
    });
    this.#discovery = new Discovery(context, this.#tracker, ({ comm }) => {
      if (this.#execNames.learn(comm)) this.#setNames();
    });
    this.#pruner = new HistoryPruner(context);
    this.#liveProtection = new LiveProtection(context, (job) => this.#tracker.observer.update(job));
    this.documents = new DaemonDocuments(context, this.#tracker, () => this.status());
    this.#rescans = new Rescans({
      listPids: () => context.postponed.attempt(() => listPids(context.host)) ?? [],
      consider: (pid) => context.scheduling.inBackground(() => this.#discovery.consider(pid)),
      onFound: (pid) => this.#reportFound([pid]),
      onDone: () => {
        this.#statistics.rescans++;
        this.#statistics.writeIfDue();
      },
    });
    // Before the first full scan, which finds the processes that took or executed a name of the policy earlier.
    this.#setNames();
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
      this.#setNames();
      if (policy.scanIntervalMs !== before.scanIntervalMs) {
        this.#setReconcileTimer();
        // Polling has a timer of its own.
        if (this.#isPolling()) void this.#restartEvents();
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
    const ends = this.#postponedEnds.splice(0);
    if (ends.length > 0) this.#handle(ends);
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
    await this.#events.stop();
  }

  #openControlSocket(): void {
    const { options, state, bus } = this.#context;
    if (!options.answersRequests) return;
    const socket = ControlSocket.open(state, {
      status: () => ({ ok: true, status: this.status() }),
      observe: (request, peer) => this.#observeForPeer(request, peer),
      recorded: ({ job }) => this.#tracker.reportRecorded(String(job)),
      hindrances: () => ({ ok: true, hindrances: this.#tracker.hindrances() }),
      usage: ({ job }) => ({
        ok: true,
        rings: this.#tracker.encodedRingsOf(String(job)),
        hindrance: this.#tracker.hindrances()[String(job)] ?? null,
      }),
      snapshot: () =>
        this.documents.inBackground(() => `{"ok":true,"snapshot":${this.documents.snapshot()}}`),
      job: (request) => this.documents.inBackground(() => this.#showJob(request)),
      shares: () => ({
        ok: true,
        shares: Object.fromEntries(this.uses().map((use) => [use.job.key, use.shares])),
      }),
      findings: () => ({
        ok: true,
        ffrtmp_version: version,
        findings: this.#findings(),
      }),
    });
    if (socket instanceof ControlSocket) this.#controlSocket = socket;
    else bus.emit({ kind: "control-socket-failed", reason: socket.reason });
  }

  #showJob({ job_id: jobId, points = MAX_POINTS }: ControlRequest): ControlAnswer {
    if (typeof jobId !== "string") return { ok: false, error: "job_id is missing: the id of a job" };
    if (!Number.isInteger(points) || Number(points) < 1)
      return { ok: false, error: "points is not a number of points" };
    const job = this.documents.job(jobId, Number(points));
    return job === undefined ? { ok: false, error: `there is no job ${jobId}` } : { ok: true, job };
  }

  #findings(): Record<string, Findings> {
    return Object.fromEntries(
      this.uses().map(({ job, media, hindrance }) => [job.key, { media, hindrance }] as const),
    );
  }

  jobs(): Iterable<OpenJob> {
    return this.#tracker.observer.jobs().values();
  }

  /** Returns what each observed job uses, as it was read last: at most 10 s ago, see `keepFresh`. Measures nothing. */
  uses(): JobUse[] {
    return this.#tracker.uses();
  }

  /** Returns the same of the jobs that have ended in the last 5 minutes, as they were read last, the latest last. */
  endedUses(): JobUse[] {
    return this.#tracker.endedUses();
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
    this.#tracker.keepFresh(forMs);
  }

  /** Returns the state of this daemon now. */
  status(): LiveStatus {
    const problems = this.#health.problems(this.#events.source, this.#tracker.shortOfCpu());
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

  /** Takes over the job of a process that started it in the background, if this daemon will know how it ends. */
  async #observeForPeer({ job: key }: ControlRequest, { pid }: Peer): Promise<ControlAnswer> {
    if (typeof key !== "string") return { ok: false, error: "job is missing: the key of a job" };
    this.#pidfdsReportExitCodes ??= pidfdsReportExitCodes().catch(() => false);
    const hasRecords = await this.#pidfdsReportExitCodes;
    if (this.#isStopped) return { ok: false, error: "this ffrtmp watch is stopping" };
    if (!hasRecords && this.#events.source !== "connector")
      return { ok: false, error: "this machine does not show exit codes to ffrtmp watch" };
    const error = this.#tracker.takeOverFrom(pid, key);
    return error === undefined ? { ok: true } : { ok: false, error };
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

  #setNames(): void {
    const { policy } = this.#context.store;
    this.#execNames.setPolicyNames(execNamesOf(policy));
    this.#events.setNames({ renamed: commNamesOf(policy), executed: this.#execNames.list() });
  }

  #isPolling(): boolean {
    return this.#events.source === "polling";
  }

  #handle(batch: ProcessEvent[]): void {
    const { bus } = this.#context;
    const ends = batch.filter(({ kind }) => kind === "over" || kind === "exit");
    if (ends.length > 0) {
      const isDone = this.#context.postponed.attempt(() => {
        this.#tracker.observer.take(ends);
        return true;
      });
      if (!isDone) this.#postponedEnds.push(...ends);
    }
    for (const event of batch) {
      if (event.kind === "exec" || event.kind === "comm") void this.#discovery.considerNow(event.pid);
      else if (event.kind === "lost") {
        this.#reportLoss(event.reason);
        this.#rescans.request();
      } else if (event.kind === "failed") {
        bus.emit({ kind: "event-source-failed", source: this.#events.source, reason: event.reason });
        void this.#restartEvents();
      }
    }
  }

  async #restartEvents(): Promise<void> {
    this.#isListening = false;
    this.#statistics.closeSource();
    await this.#events.stop();
    const { events, unavailable } = await startEvents(this.#context, (batch) => this.#handle(batch));
    this.#events = events;
    this.#context.bus.emit({ kind: "event-source-changed", source: events.source, unavailable });
    this.#setNames();
    this.#statistics.switchTo(events);
    this.#tracker.observer.switchTo(events);
    this.#isListening = true;
    this.#rescans.request();
  }

  /** A flood of events must not become a flood of log lines: the counts show the later losses. */
  #reportLoss(reason: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#lossLoggedMs < LOSS_LOG_INTERVAL_MS) return;
    this.#lossLoggedMs = nowMs;
    const { dropped, droppedRenames } = this.#statistics.counts();
    const all = dropped === null || droppedRenames === null ? null : dropped + droppedRenames;
    this.#context.bus.emit({ kind: "events-lost", reason, dropped: all });
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
    if (this.#isPolling()) {
      void this.#discovery.considerAll(this.#discovery.takeUnread());
      return;
    }
    const dropped = this.#events.takeDroppedExecs();
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

  /** Applies the policy in force to the jobs that a `watch` started. */
  async #reconcileJobs(occasion: Occasion): Promise<void> {
    const jobs = this.#tracker.ownJobs().filter(({ mode }) => mode === "watch");
    const { policy } = this.#context.store;
    const asked = jobs.map(async (job) => [job.key, await decideAgain(this.#context, job)] as const);
    const decisions = new Map(await Promise.all(asked));
    if (this.#isStopped || this.#context.store.policy !== policy) return;
    // A job may have ended or changed meanwhile.
    const decided = this.#tracker.ownJobs().flatMap((job) => {
      const decision = decisions.get(job.key);
      return decision === undefined ? [] : [{ job, decision, isLast: isGovernedLast(policy, decision) }];
    });
    for (const { job, decision } of decided.sort((a, b) => Number(a.isLast) - Number(b.isLast))) {
      const event = reconcileJob(this.#context, job, occasion, decision);
      if (event?.kind === "job-changed-by-policy") this.#tracker.observer.update(event.job);
      if (event?.kind === "job-released-by-policy") this.#tracker.forget(job);
      if (event) this.#context.bus.emit(event);
    }
  }

  #emitCounts(): void {
    this.#context.bus.emit({
      kind: "counted",
      jobs: this.#tracker.observer.jobs().size,
      source: this.#events.source,
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

async function startEvents(context: DaemonContext, onEvents: OnEvents): Promise<StartedEvents> {
  const { host, options, scheduling } = context;
  const { isRealtime } = scheduling;
  return startBestEvents(host, scanIntervalOf(context), onEvents, { ...options.events, isRealtime });
}
