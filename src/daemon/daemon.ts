import type { Governor } from "../jobs/context.ts";
import { upkeepJob } from "../jobs/limits/enforceLimits.ts";
import { announceWatch } from "../jobs/recovery/activeDaemon.ts";
import { repairAll } from "../jobs/recovery/recover.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { type EventChoice, startBestEvents } from "../linux/events/bestEvents.ts";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import { ProcessScan } from "../linux/events/processScan.ts";
import { totalOf } from "../policy/policy.ts";
import { FactReader } from "../policy/procFacts.ts";
import { Discoverer } from "./discovery.ts";
import { Custodian } from "./jobTracker.ts";
import type { PolicyKeeper } from "./policyStore.ts";
import { adjustJob } from "./reconcilePolicy.ts";
import type { ServiceManager } from "./serviceManager.ts";
import { WatchAccount } from "./statistics.ts";

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
const YOUNG_MS = 5000;

/** Discovers, decides, governs, observes, until it is stopped. */
export class WatchDaemon {
  readonly #governor: Governor;
  readonly #options: WatchOptions;
  readonly #keeper: PolicyKeeper;
  readonly #service: ServiceManager;
  readonly #log: (line: string) => void;
  #reconciling: ReturnType<typeof setInterval>;
  readonly #scan: ProcessScan;
  readonly #account: WatchAccount;
  readonly #custodian: Custodian;
  readonly #discoverer: Discoverer;
  readonly #reader: FactReader;
  #events: ProcessEvents;
  /** False while a source of events has broken and the next has not begun. */
  #isListening = true;
  readonly #endKeepingAlive: () => void;

  /** Listens from here on, then takes up what an earlier ffrtmp left, then looks at every process once. */
  static async begin(
    governor: Governor,
    options: WatchOptions,
    keeper: PolicyKeeper,
    service: ServiceManager,
    log: (line: string) => void,
  ): Promise<WatchDaemon> {
    // What is told before we are ready waits: listening begins before the first look, so that nothing is missed.
    const early: ProcessEvent[] = [];
    let daemon: WatchDaemon | undefined;
    const events = await listen(governor, options, keeper, log, (batch) => {
      if (daemon) daemon.#take(batch);
      else early.push(...batch);
    });
    daemon = new WatchDaemon(governor, events, options, keeper, service, log);
    daemon.#logWarnings();
    announceWatch(governor);
    daemon.#custodian.takeBackHeld();
    repairAll(governor);
    daemon.#custodian.standBy();
    daemon.#adjustJobs("start");
    daemon.#discoverer.lookAtAll();
    daemon.#take(early);
    daemon.#account.write();
    daemon.#tellStatus();
    keeper.watch(() => daemon.reload("the file has changed"));
    return daemon;
  }

  private constructor(
    governor: Governor,
    events: ProcessEvents,
    options: WatchOptions,
    keeper: PolicyKeeper,
    service: ServiceManager,
    log: (line: string) => void,
  ) {
    this.#governor = governor;
    this.#options = options;
    this.#keeper = keeper;
    this.#service = service;
    this.#endKeepingAlive = service.keepAlive(() => this.#isListening);
    this.#log = log;
    this.#events = events;
    this.#account = new WatchAccount(governor, events, keeper, () => this.#scanIntervalMs());
    this.#custodian = new Custodian(governor, events, service, log);
    this.#reader = new FactReader(governor.host);
    this.#discoverer = new Discoverer(
      governor,
      this.#reader,
      keeper.policy,
      this.#custodian,
      log,
      options.placement,
    );
    // Before the first look at everything: what appears during that look is new to the scan.
    this.#scan = new ProcessScan(governor.host, YOUNG_MS);
    this.#reconciling = setInterval(() => this.#reconcile(), this.#scanIntervalMs());
  }

  /** Reads the policy anew, and brings the jobs that it speaks of to it. One that is not valid changes nothing. */
  reload(because: string): void {
    this.#service.reloading();
    const before = this.#keeper.reload();
    if (before === undefined) {
      this.#log(
        `POLICY NOT TAKEN (${because}); the one before stays in force. Faults of ${this.#keeper.path}:`,
      );
      for (const fault of this.#keeper.faults) this.#log(`  ${fault}`);
    } else {
      this.#log(`Policy (${because}): ${describePolicy(this.#keeper)}`);
      this.#logWarnings();
      this.#discoverer.switchTo(this.#keeper.policy);
      if (this.#keeper.policy.scanIntervalMs !== before.scanIntervalMs) this.#changeInterval();
      this.#adjustJobs("reload");
      this.#discoverer.lookAtAll();
    }
    this.#account.write();
    this.#tellStatus();
    this.#service.ready();
  }

  /** Lets every job go; they and their limits stay. */
  async stop(): Promise<void> {
    this.#service.stopping();
    this.#endKeepingAlive();
    clearInterval(this.#reconciling);
    this.#keeper.stop();
    this.#discoverer.stop();
    this.#custodian.letGo();
    const { ledger, host } = this.#governor;
    this.#account.write(host.now());
    const { received, dropped, rescans, foundByLooking } = this.#account.counts();
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
    if (this.#events.tells.exec === "by scan") void this.#restartEvents();
  }

  #scanIntervalMs(): number {
    return scanIntervalOf(this.#options, this.#keeper);
  }

  #take(batch: ProcessEvent[]): void {
    this.#custodian.take(batch);
    for (const event of batch) {
      if (event.kind === "exec" || event.kind === "comm") this.#discoverer.consider(event.pid);
      else if (event.kind === "lost") this.#lookAfterLoss(event.because);
      else if (event.kind === "failed") void this.#listenAnew(event.because);
    }
  }

  #lookAfterLoss(because: string): void {
    const { dropped } = this.#account.counts();
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
    this.#account.closeSource();
    await this.#events.stop();
    this.#events = await listen(this.#governor, this.#options, this.#keeper, this.#log, (batch) =>
      this.#take(batch),
    );
    this.#account.switchTo(this.#events);
    this.#custodian.switchTo(this.#events);
    this.#isListening = true;
    this.#rescan();
  }

  #rescan(): void {
    this.#account.noteRescan();
    this.#noteFound(this.#discoverer.lookAtAll());
    this.#account.keep();
  }

  /** Catches what no event told; with polling, where looking is all there is, the events do so. */
  #reconcile(): void {
    this.#governor.ledger.flush();
    this.#custodian.standBy();
    this.#custodian.clearAway();
    if (this.#keeper.hasChanged()) this.reload("the file has changed");
    this.#keepUp();
    this.#account.keep();
    this.#tellStatus();
    if (this.#events.tells.exec === "by scan") return;
    const pids = this.#scan.scan().events.flatMap((event) => ("pid" in event ? [event.pid] : []));
    this.#noteFound(pids.filter((pid) => this.#discoverer.consider(pid)));
  }

  /** Puts back what somebody undid of the jobs' limits. */
  #keepUp(): void {
    const { policy } = this.#keeper;
    for (const job of this.#custodian.ownJobs()) {
      const total = job.tenant === null ? undefined : totalOf(policy, job.tenant);
      for (const { what, did, wanted, found } of upkeepJob(this.#governor, job, total)) {
        const text = did === "left_alone" ? "left alone for an hour" : "put back";
        this.#log(`Job ${job.jobId}: somebody undid ${what} (wanted ${wanted}, found ${found}): ${text}`);
      }
    }
  }

  /** Brings the jobs that a `watch` began to the policy in force. */
  #adjustJobs(occasion: "reload" | "start"): void {
    for (const job of this.#custodian.ownJobs()) {
      if (job.mode !== "watch") continue;
      const adjustment = adjustJob(this.#governor, this.#keeper.policy, this.#reader, job, occasion);
      if (adjustment === "released") this.#custodian.forget(job);
      if (adjustment === "same") continue;
      const text =
        typeof adjustment === "object" ? `cannot be released: ${adjustment.failed}` : TEXTS[adjustment];
      this.#log(`Job ${job.jobId} ${text}`);
    }
  }

  #logWarnings(): void {
    for (const warning of this.#keeper.warnings) this.#log(`In the policy, most likely a slip: ${warning}`);
  }

  #tellStatus(): void {
    const { dropped } = this.#account.counts();
    const count = this.#custodian.size;
    const policy =
      this.#keeper.faults.length === 0 ? "" : "; POLICY FILE NOT VALID, the one before is in force";
    this.#service.status(
      `Governing ${count} ${count === 1 ? "job" : "jobs"}; events: ${this.#events.source}, dropped: ${dropped ?? "not counted"}${policy}`,
    );
  }

  #noteFound(pids: number[]): void {
    for (const pid of pids) {
      this.#account.noteFound();
      this.#log(`PID ${pid} was found by looking, no event had told of it`);
    }
  }
}

const TEXTS = {
  changed: "has other limits now, by the policy",
  released: "is released: the policy no longer asks for it",
  kept: "goes on as it is: nothing in the policy asks for it",
} as const;

const USUAL_SCAN_INTERVAL_MS = 5000;

function scanIntervalOf({ scanIntervalMs }: WatchOptions, { policy }: PolicyKeeper): number {
  return scanIntervalMs ?? policy.scanIntervalMs ?? USUAL_SCAN_INTERVAL_MS;
}

function describePolicy({ policy, path }: PolicyKeeper): string {
  const targets = policy.targets.map(({ text }) => text).join(", ") || "no target commands";
  if (path === undefined) return `${targets}, from the command line`;
  const { rules, tenants } = policy;
  return `${targets}, ${rules.length} rules, ${tenants.size} tenants, from ${path}`;
}

async function listen(
  { host, ledger }: Governor,
  options: WatchOptions,
  keeper: PolicyKeeper,
  log: (line: string) => void,
  onEvents: (batch: ProcessEvent[]) => void,
): Promise<ProcessEvents> {
  const { events, missing } = await startBestEvents(host, scanIntervalOf(options, keeper), onEvents, {
    choice: options.eventChoice,
    bufferBytes: options.eventBufferBytes,
  });
  log(
    `Watching for ${describePolicy(keeper)} (PID ${process.pid}); events: ${events.source}, ledger: ${ledger.path}`,
  );
  for (const reason of missing) log(`A better source of events is not to be had: ${reason}`);
  return events;
}
