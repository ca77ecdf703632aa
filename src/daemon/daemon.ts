import type { Context } from "../jobs/context.ts";
import { enforceLimits } from "../jobs/limits/enforceLimits.ts";
import { recordActiveDaemon } from "../jobs/recovery/activeDaemon.ts";
import { repairAll } from "../jobs/recovery/recover.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { type EventChoice, startBestEvents } from "../linux/events/bestEvents.ts";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { ProcessScan } from "../linux/events/processScan.ts";
import { totalOf } from "../policy/policy.ts";
import { FactReader } from "../policy/procFacts.ts";
import { Discovery } from "./discovery.ts";
import { JobTracker } from "./jobTracker.ts";
import type { PolicyStore } from "./policyStore.ts";
import { adjustJob } from "./reconcilePolicy.ts";
import type { ServiceManager } from "./serviceManager.ts";
import { DaemonStatistics } from "./statistics.ts";

export interface WatchOptions {
  /** Time between two looks that depend on no event; `undefined`: as the policy says. */
  scanIntervalMs: number | undefined;
  eventChoice: EventChoice;
  /** Room for process events that wait to be read. */
  eventBufferBytes: number;
  /** Where the cgroups of processes that it finds are to be. */
  placement?: Placement;
}

/** How long a process that a look found is looked at again, because it may not have its name yet. */
const RECHECK_WINDOW_MS = 5000;

/** Discovers, decides, governs, observes, until it is stopped. */
export class WatchDaemon {
  readonly #context: Context;
  readonly #options: WatchOptions;
  readonly #store: PolicyStore;
  readonly #service: ServiceManager;
  readonly #log: (line: string) => void;
  #reconciling: ReturnType<typeof setInterval>;
  readonly #scan: ProcessScan;
  readonly #statistics: DaemonStatistics;
  readonly #tracker: JobTracker;
  readonly #discovery: Discovery;
  readonly #reader: FactReader;
  #events: ProcessEvents;
  /** False while a source of events has broken and the next has not begun. */
  #isListening = true;
  readonly #endKeepingAlive: () => void;

  /** Listens from here on, then takes up what an earlier ffrtmp left, then looks at every process once. */
  static async begin(
    context: Context,
    options: WatchOptions,
    store: PolicyStore,
    service: ServiceManager,
    log: (line: string) => void,
  ): Promise<WatchDaemon> {
    // What is told before we are ready waits: listening begins before the first look, so that nothing is missed.
    const early: ProcessEvent[] = [];
    let daemon: WatchDaemon | undefined;
    const events = await listen(context, options, store, log, (batch) => {
      if (daemon) daemon.#take(batch);
      else early.push(...batch);
    });
    daemon = new WatchDaemon(context, events, options, store, service, log);
    daemon.#logWarnings();
    recordActiveDaemon(context);
    daemon.#tracker.resumeStoredPidfds();
    repairAll(context);
    daemon.#tracker.checkObservers();
    daemon.#adjustJobs("start");
    daemon.#discovery.scanAll();
    daemon.#take(early);
    daemon.#statistics.write();
    daemon.#tellStatus();
    store.watch(() => daemon.reload("the file has changed"));
    return daemon;
  }

  private constructor(
    context: Context,
    events: ProcessEvents,
    options: WatchOptions,
    store: PolicyStore,
    service: ServiceManager,
    log: (line: string) => void,
  ) {
    this.#context = context;
    this.#options = options;
    this.#store = store;
    this.#service = service;
    this.#endKeepingAlive = service.keepAlive(() => this.#isListening);
    this.#log = log;
    this.#events = events;
    this.#statistics = new DaemonStatistics(context, events, store, () => this.#scanIntervalMs());
    this.#tracker = new JobTracker(context, events, service, log);
    this.#reader = new FactReader(context.host);
    this.#discovery = new Discovery(
      context,
      this.#reader,
      store.policy,
      this.#tracker,
      log,
      options.placement,
    );
    // Before the first look at everything: what appears during that look is new to the scan.
    this.#scan = new ProcessScan(context.host, RECHECK_WINDOW_MS);
    this.#reconciling = setInterval(() => this.#reconcile(), this.#scanIntervalMs());
  }

  /** Reads the policy anew, and brings the jobs that it speaks of to it. One that is not valid changes nothing. */
  reload(because: string): void {
    this.#service.reloading();
    const before = this.#store.reload();
    if (before === undefined) {
      this.#log(
        `POLICY NOT TAKEN (${because}); the one before stays in force. Faults of ${this.#store.path}:`,
      );
      for (const fault of this.#store.faults) this.#log(`  ${fault}`);
    } else {
      this.#log(`Policy (${because}): ${describePolicy(this.#store)}`);
      this.#logWarnings();
      this.#discovery.switchTo(this.#store.policy);
      if (this.#store.policy.scanIntervalMs !== before.scanIntervalMs) this.#changeInterval();
      this.#adjustJobs("reload");
      this.#discovery.scanAll();
    }
    this.#statistics.write();
    this.#tellStatus();
    this.#service.ready();
  }

  /** Lets every job go; they and their limits stay. */
  async stop(): Promise<void> {
    this.#service.stopping();
    this.#endKeepingAlive();
    clearInterval(this.#reconciling);
    this.#store.stop();
    this.#discovery.stop();
    this.#tracker.releaseAll();
    const { ledger, host } = this.#context;
    this.#statistics.write(host.now());
    const { received, dropped, rescans, foundByLooking } = this.#statistics.counts();
    this.#log(
      `Events received: ${received}, dropped: ${dropped ?? "not counted"}; rescans: ${rescans}; processes found by looking only: ${foundByLooking}`,
    );
    ledger.close();
    await this.#events.stop();
  }

  #changeInterval(): void {
    clearInterval(this.#reconciling);
    this.#reconciling = setInterval(() => this.#reconcile(), this.#scanIntervalMs());
    // Polling has its own timer.
    if (this.#events.reports.exec === "by scan") void this.#restartEvents();
  }

  #scanIntervalMs(): number {
    return scanIntervalOf(this.#options, this.#store);
  }

  #take(batch: ProcessEvent[]): void {
    this.#tracker.take(batch);
    for (const event of batch) {
      if (event.kind === "exec" || event.kind === "comm") this.#discovery.consider(event.pid);
      else if (event.kind === "lost") this.#lookAfterLoss(event.reason);
      else if (event.kind === "failed") void this.#listenAnew(event.reason);
    }
  }

  #lookAfterLoss(because: string): void {
    const { dropped } = this.#statistics.counts();
    const count = dropped === null ? "" : ` (${dropped} so far)`;
    this.#log(`Process events were lost: ${because}${count}; looking at all processes`);
    this.#rescan();
  }

  async #listenAnew(because: string): Promise<void> {
    this.#log(`The ${this.#events.source} tells nothing any more: ${because}`);
    await this.#restartEvents();
  }

  async #restartEvents(): Promise<void> {
    this.#isListening = false;
    this.#statistics.closeSource();
    await this.#events.stop();
    this.#events = await listen(this.#context, this.#options, this.#store, this.#log, (batch) =>
      this.#take(batch),
    );
    this.#statistics.switchTo(this.#events);
    this.#tracker.switchTo(this.#events);
    this.#isListening = true;
    this.#rescan();
  }

  #rescan(): void {
    this.#statistics.noteRescan();
    this.#noteFound(this.#discovery.scanAll());
    this.#statistics.keep();
  }

  /** Catches what no event told; with polling, where looking is all there is, the events do so. */
  #reconcile(): void {
    this.#context.ledger.flush();
    this.#tracker.checkObservers();
    this.#tracker.cleanUp();
    if (this.#store.hasChanged()) this.reload("the file has changed");
    this.#keepUp();
    this.#statistics.keep();
    this.#tellStatus();
    if (this.#events.reports.exec === "by scan") return;
    const pids = this.#scan.scan().events.flatMap((event) => ("pid" in event ? [event.pid] : []));
    this.#noteFound(pids.filter((pid) => this.#discovery.consider(pid)));
  }

  /** Puts back what somebody undid of the jobs' limits. */
  #keepUp(): void {
    const { policy } = this.#store;
    for (const job of this.#tracker.ownJobs()) {
      const total = job.tenant === null ? undefined : totalOf(policy, job.tenant);
      const enforced = enforceLimits(this.#context, job, total);
      this.#tracker.update(enforced.job);
      for (const { what, did, wanted, found } of enforced.repairs) {
        const text = did === "left_alone" ? "left alone for an hour" : "put back";
        this.#log(`Job ${job.jobId}: somebody undid ${what} (wanted ${wanted}, found ${found}): ${text}`);
      }
    }
  }

  /** Brings the jobs that a `watch` began to the policy in force. */
  #adjustJobs(occasion: "reload" | "start"): void {
    for (const job of this.#tracker.ownJobs()) {
      if (job.mode !== "watch") continue;
      const adjustment = adjustJob(this.#context, this.#store.policy, this.#reader, job, occasion);
      if (adjustment.did === "same") continue;
      if (adjustment.did === "released") this.#tracker.forget(job);
      if (adjustment.did === "changed") this.#tracker.update(adjustment.job);
      const text =
        adjustment.did === "failed" ? `cannot be released: ${adjustment.reason}` : TEXTS[adjustment.did];
      this.#log(`Job ${job.jobId} ${text}`);
    }
  }

  #logWarnings(): void {
    for (const warning of this.#store.warnings) this.#log(`In the policy, most likely a slip: ${warning}`);
  }

  #tellStatus(): void {
    const { dropped } = this.#statistics.counts();
    const count = this.#tracker.size;
    const policy =
      this.#store.faults.length === 0 ? "" : "; POLICY FILE NOT VALID, the one before is in force";
    this.#service.status(
      `Governing ${count} ${count === 1 ? "job" : "jobs"}; events: ${this.#events.source}, dropped: ${dropped ?? "not counted"}${policy}`,
    );
  }

  #noteFound(pids: number[]): void {
    for (const pid of pids) {
      this.#statistics.noteFound();
      this.#log(`PID ${pid} was found by looking, no event had told of it`);
    }
  }
}

const TEXTS = {
  changed: "has other limits now, by the policy",
  released: "is released: the policy no longer asks for it",
  kept: "goes on as it is: nothing in the policy asks for it",
} as const;

const DEFAULT_SCAN_INTERVAL_MS = 5000;

function scanIntervalOf({ scanIntervalMs }: WatchOptions, { policy }: PolicyStore): number {
  return scanIntervalMs ?? policy.scanIntervalMs ?? DEFAULT_SCAN_INTERVAL_MS;
}

function describePolicy({ policy, path }: PolicyStore): string {
  const targets = policy.targets.map(({ text }) => text).join(", ") || "no target commands";
  if (path === undefined) return `${targets}, from the command line`;
  const { rules, tenants } = policy;
  return `${targets}, ${rules.length} rules, ${tenants.size} tenants, from ${path}`;
}

async function listen(
  { host, ledger }: Context,
  options: WatchOptions,
  store: PolicyStore,
  log: (line: string) => void,
  onEvents: (batch: ProcessEvent[]) => void,
): Promise<ProcessEvents> {
  const { events, unavailable } = await startBestEvents(host, scanIntervalOf(options, store), onEvents, {
    choice: options.eventChoice,
    bufferBytes: options.eventBufferBytes,
  });
  log(
    `Watching for ${describePolicy(store)} (PID ${process.pid}); events: ${events.source}, ledger: ${ledger.path}`,
  );
  for (const reason of unavailable) log(`A better source of events is not to be had: ${reason}`);
  return events;
}
