import { attach } from "../govern/attach.ts";
import { closeJob, type Ending } from "../govern/close.ts";
import type { Governor } from "../govern/governor.ts";
import { holdProcess } from "../govern/hold.ts";
import { JobObserver } from "../govern/observe.ts";
import { Refusal } from "../govern/refusal.ts";
import { identityOf, isObserved, repairAll, repairJob } from "../govern/repair.ts";
import { announceWatch } from "../govern/standby.ts";
import { recogniseHeld } from "../govern/takeBack.ts";
import { type EventChoice, startBestEvents } from "../kernel/events/bestEvents.ts";
import type { ProcessEvent, ProcessEvents } from "../kernel/events/processEvents.ts";
import { ProcessScan } from "../kernel/events/processScan.ts";
import type { Limits } from "../kernel/limits.ts";
import { isAlive } from "../kernel/proc/identity.ts";
import { listPids } from "../kernel/proc/table.ts";
import { type LedgerWatch, watchLedgerFile } from "../ledger/ledgerWatch.ts";
import type { JobRecord } from "../ledger/records.ts";
import { summaryLine, survivorsLine } from "../report/summary.ts";
import { closeFd } from "../sys/pidfd.ts";
import { WatchAccount } from "./account.ts";
import { judgeProcess } from "./judge.ts";
import type { ServiceManager } from "./serviceManager.ts";

export interface WatchOptions {
  targets: readonly string[];
  limits: Limits;
  /** Time between two looks that depend on no event. */
  scanIntervalMs: number;
  eventChoice: EventChoice;
  /** Room for process events that wait to be read. */
  eventBufferBytes: number;
}

/** How long a process that a look found is looked at again, because it may not have its name yet. */
const YOUNG_MS = 5000;
/** How soon the jobs of an ffrtmp that died are taken over. Nothing tells of that death: it is looked for. */
const TAKEOVER_INTERVAL_MS = 500;

/**
 * Discovers, decides, governs, observes, until it is stopped.
 *
 * Besides its own jobs it stands by for those of every other ffrtmp of the same ledger: it holds their processes
 * too, so that when such an observer dies, even together with its workload, the end is still known.
 */
export class WatchDaemon {
  readonly #governor: Governor;
  readonly #options: WatchOptions;
  readonly #service: ServiceManager;
  readonly #log: (line: string) => void;
  readonly #reconciling: ReturnType<typeof setInterval>;
  readonly #ledgerWatch: LedgerWatch | undefined;
  /** Runs while there is something to look for: waking up is most of what standing by costs. */
  #standingBy: ReturnType<typeof setInterval> | undefined;
  /** Ends that were told and are not dealt with yet, by the key of their jobs. */
  readonly #toldEnds = new Map<string, { job: JobRecord; ending: Ending }>();
  /** Ends that were seen of jobs whose own observer lives and is about to record them. */
  readonly #seenEnds = new Map<string, Ending>();
  readonly #scan: ProcessScan;
  readonly #account: WatchAccount;
  /** Open jobs that are not observed by us, as of the last change that others made in the ledger. */
  #jobsOfOthers = new Map<string, JobRecord>();
  #ledgerVersion: number | undefined;
  #events: ProcessEvents;
  #observer: JobObserver;
  /** False while a source of events has broken and the next has not begun. */
  #isListening = true;
  readonly #endKeepingAlive: () => void;

  /** Listens from here on, then takes up what an earlier ffrtmp left, then looks at every process once. */
  static async begin(
    governor: Governor,
    options: WatchOptions,
    service: ServiceManager,
    log: (line: string) => void,
  ): Promise<WatchDaemon> {
    // What is told before we are ready waits: listening begins before the first look, so that nothing is missed.
    const early: ProcessEvent[] = [];
    let daemon: WatchDaemon | undefined;
    const events = await listen(governor, options, log, (batch) => {
      if (daemon) daemon.#take(batch);
      else early.push(...batch);
    });
    daemon = new WatchDaemon(governor, events, options, service, log);
    announceWatch(governor);
    // Before the repair, which closes what nobody seems to hold.
    daemon.#takeBackHeld();
    repairAll(governor);
    daemon.#standBy();
    daemon.#lookAtAll();
    daemon.#take(early);
    daemon.#account.write();
    daemon.#tellStatus();
    return daemon;
  }

  private constructor(
    governor: Governor,
    events: ProcessEvents,
    options: WatchOptions,
    service: ServiceManager,
    log: (line: string) => void,
  ) {
    this.#governor = governor;
    this.#options = options;
    this.#service = service;
    this.#endKeepingAlive = service.keepAlive(() => this.#isListening);
    this.#log = log;
    this.#events = events;
    this.#account = new WatchAccount(governor, events, options);
    this.#observer = new JobObserver(events, (job, ending) => this.#postponeEnd(job, ending));
    // Before the first look at everything: what appears during that look is new to the scan.
    this.#scan = new ProcessScan(governor.host, YOUNG_MS);
    this.#reconciling = setInterval(() => this.#reconcile(), options.scanIntervalMs);
    this.#ledgerWatch = watchLedgerFile(governor.ledger.path, () => this.#noticeOthers());
  }

  /** Lets every job go; they and their limits stay. */
  async stop(): Promise<void> {
    this.#service.stopping();
    this.#endKeepingAlive();
    clearInterval(this.#reconciling);
    clearInterval(this.#standingBy);
    this.#ledgerWatch?.close();
    for (const key of this.#toldEnds.keys()) this.#endTold(key);
    const { ledger, self, host } = this.#governor;
    for (const job of this.#observer.jobs().values()) {
      if (!isSame(job.observer, self)) continue;
      ledger.takeOver(job, null);
      ledger.addEvent(job, host.now(), "observer_left", {});
    }
    this.#account.write(host.now());
    const { received, dropped, rescans, foundByLooking } = this.#account.counts();
    this.#log(
      `Events received: ${received}, dropped: ${dropped ?? "not counted"}; rescans: ${rescans}; processes found by looking only: ${foundByLooking}`,
    );
    ledger.close();
    await this.#events.stop();
  }

  #take(batch: ProcessEvent[]): void {
    this.#observer.take(batch);
    for (const event of batch) {
      if (event.kind === "exec" || event.kind === "comm") this.#consider(event.pid);
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
    this.#isListening = false;
    this.#account.closeSource();
    await this.#events.stop();
    this.#events = await listen(this.#governor, this.#options, this.#log, (batch) => this.#take(batch));
    this.#account.switchTo(this.#events);
    this.#observer.switchTo(this.#events);
    this.#isListening = true;
    this.#rescan();
  }

  #rescan(): void {
    this.#account.noteRescan();
    this.#noteFound(this.#lookAtAll());
    this.#account.keep();
  }

  /** Looks at every process, however long it has been there. Returns those that are governed from now on. */
  #lookAtAll(): number[] {
    return listPids(this.#governor.host).filter((pid) => this.#consider(pid));
  }

  /** Catches what no event told; with polling, where looking is all there is, the events do so. */
  #reconcile(): void {
    this.#governor.ledger.flush();
    this.#standBy();
    this.#clearAway();
    this.#account.keep();
    this.#tellStatus();
    if (this.#events.tells.exec === "by scan") return;
    const pids = this.#scan.scan().events.flatMap((event) => ("pid" in event ? [event.pid] : []));
    this.#noteFound(pids.filter((pid) => this.#consider(pid)));
  }

  #tellStatus(): void {
    const { dropped } = this.#account.counts();
    const count = this.#observer.jobs().size;
    this.#service.status(
      `Governing ${count} ${count === 1 ? "job" : "jobs"}; events: ${this.#events.source}, dropped: ${dropped ?? "not counted"}`,
    );
  }

  /** Removes the cgroups of ended jobs whose last process, left behind by the workload, has gone by now. */
  #clearAway(): void {
    for (const job of this.#governor.ledger.unreleasedJobs()) {
      if (job.state === "ended") repairJob(this.#governor, job);
    }
  }

  #noteFound(pids: number[]): void {
    for (const pid of pids) {
      this.#account.noteFound();
      this.#log(`PID ${pid} was found by looking, no event had told of it`);
    }
  }

  /**
   * Closing a job takes milliseconds and can wait; a process that has just appeared cannot, for it may be gone by then.
   * So ends are dealt with one at a time, whenever nothing else has been told.
   */
  #postponeEnd(job: JobRecord, ending: Ending): void {
    this.#toldEnds.set(job.key, { job, ending });
    setImmediate(() => this.#endTold(job.key));
  }

  #endTold(key: string): void {
    const told = this.#toldEnds.get(key);
    if (!told) return;
    this.#toldEnds.delete(key);
    this.#end(told.job, told.ending);
  }

  #consider(pid: number): boolean {
    const judgement = judgeProcess(this.#governor, this.#options.targets, pid);
    return judgement.govern && this.#govern(pid, judgement.target);
  }

  #govern(pid: number, target: string): boolean {
    const jobId = autoJobId(target, pid);
    // The pid may be that of a process which has just ended: its job has to make room for one of the same name.
    for (const [key, { job }] of this.#toldEnds) if (job.pid === pid) this.#endTold(key);
    try {
      const { limits } = this.#options;
      const wishes = { jobId, limits, intent: null, slaEligible: true, tenant: null, labels: {} };
      const { job, pidfd } = attach(this.#governor, pid, "watch", wishes);
      this.#log(`Attaching to PID ${pid} (${target}) as job ${jobId}`);
      for (const { limit, outcome, because } of job.outcomes) {
        if (outcome !== "applied") this.#log(`Job ${jobId}: ${limit} is ${outcome}: ${because}`);
      }
      this.#observe(job, pidfd);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#log(`Not governing PID ${pid} (${target}): ${error.message}`);
      return false;
    }
  }

  /** Takes over jobs whose observer has died, and closes those whose end was seen and whose observer died of it too. */
  #standBy(): void {
    this.#noticeOthers();
    for (const [key, ending] of this.#seenEnds) {
      const job = this.#jobsOfOthers.get(key);
      if (job) this.#end(job, ending);
      else this.#seenEnds.delete(key);
    }
    for (const job of this.#jobsOfOthers.values()) this.#takeOverIfLeft(job);
  }

  #noticeOthers(): void {
    const version = this.#governor.ledger.versionOfOthers();
    if (version !== this.#ledgerVersion) this.#readLedger();
    this.#ledgerVersion = version;
    const mustLook = this.#jobsOfOthers.size > 0 || this.#ledgerWatch === undefined;
    if (mustLook) this.#standingBy ??= setInterval(() => this.#standBy(), TAKEOVER_INTERVAL_MS);
    else {
      clearInterval(this.#standingBy);
      this.#standingBy = undefined;
    }
  }

  /** Forgets what others have closed, and holds the processes of what others have begun. */
  #readLedger(): void {
    const { ledger, self } = this.#governor;
    const open = new Map(ledger.openJobs().map((job) => [job.key, job]));
    for (const job of this.#observer.jobs().values()) {
      if (!open.has(job.key)) this.#observer.forget(job);
    }
    this.#service.keepOnly(open);
    const held = this.#observer.jobs();
    for (const job of open.values()) {
      if (!held.has(job.key) && !this.#seenEnds.has(job.key)) this.#hold(job);
    }
    this.#jobsOfOthers = new Map([...open].filter(([, { observer }]) => !isSame(observer, self)));
  }

  #hold(job: JobRecord): void {
    const identity = job.state === "running" ? identityOf(job) : undefined;
    if (!identity) return;
    const hold = holdProcess(this.#governor.host, identity);
    if (hold !== "gone") this.#observe(job, hold.pidfd);
  }

  #observe(job: JobRecord, pidfd: number | undefined): void {
    this.#service.keep(job, pidfd);
    this.#observer.observe(job, pidfd);
  }

  /** Takes up the processes that the service manager held while no daemon ran, those that have ended meanwhile too. */
  #takeBackHeld(): void {
    const open = new Map(this.#governor.ledger.openJobs().map((job) => [job.key, job]));
    for (const { key, fd } of this.#service.takeBack()) {
      const job = key === undefined ? undefined : open.get(key);
      const held =
        job === undefined || this.#observer.jobs().has(job.key)
          ? "stranger"
          : recogniseHeld(this.#governor, job, fd);
      if (job === undefined || held === "stranger") {
        if (key !== undefined) this.#service.forget({ key });
        closeFd(fd);
      } else if (held === "there") {
        this.#observer.observe(job, fd);
        if (!isObserved(this.#governor, job)) this.#adopt(job);
      } else {
        closeFd(fd);
        this.#end(job, held);
      }
    }
  }

  #isAlive(job: JobRecord): boolean {
    const identity = identityOf(job);
    return identity !== undefined && isAlive(this.#governor.host, identity);
  }

  #takeOverIfLeft(seen: JobRecord): void {
    if (isObserved(this.#governor, seen)) return;
    if (this.#seenEnds.has(seen.key) || this.#toldEnds.has(seen.key)) return;
    // It is over, and the evidence of how is about to come.
    if (this.#observer.jobs().has(seen.key) && !this.#isAlive(seen)) return;
    if (repairJob(this.#governor, seen) !== "unobserved") return;
    const job = this.#governor.ledger.job(seen.key);
    if (job && this.#adopt(job) && !this.#observer.jobs().has(job.key)) this.#hold(job);
  }

  /** Makes this daemon the observer of a job that has none. Returns false when another one was faster. */
  #adopt(job: JobRecord): boolean {
    const { ledger, host, self } = this.#governor;
    if (!ledger.takeOver(job, self)) return false;
    this.#jobsOfOthers.delete(job.key);
    ledger.addEvent(job, host.now(), "adopted", { observer_pid: self.pid });
    this.#log(`Taking over job ${job.jobId} (PID ${job.pid}), which nobody observed`);
    return true;
  }

  /** Closes a job, unless its own observer lives: that one was told too, perhaps more. */
  #end(job: JobRecord, ending: Ending): void {
    const current = this.#governor.ledger.job(job.key);
    if (!current || current.state === "ended") {
      this.#service.forget(job);
      return;
    }
    if (!isSame(current.observer, this.#governor.self) && isObserved(this.#governor, current)) {
      this.#seenEnds.set(job.key, ending);
      return;
    }
    this.#seenEnds.delete(job.key);
    const { result, isOurs, survivors } = closeJob(this.#governor, current, ending);
    // Not before the result is on record: should this daemon die in between, the next one finds the end as we did.
    this.#service.forget(job);
    if (isOurs) this.#log(summaryLine(current, result));
    if (survivors.length > 0) this.#log(survivorsLine(job, survivors));
  }
}

async function listen(
  { host, ledger }: Governor,
  { targets, scanIntervalMs, eventChoice, eventBufferBytes }: WatchOptions,
  log: (line: string) => void,
  onEvents: (batch: ProcessEvent[]) => void,
): Promise<ProcessEvents> {
  const { events, missing } = await startBestEvents(host, scanIntervalMs, onEvents, {
    choice: eventChoice,
    bufferBytes: eventBufferBytes,
  });
  log(
    `Watching for ${targets.join(", ")} (PID ${process.pid}); events: ${events.source}, ledger: ${ledger.path}`,
  );
  for (const reason of missing) log(`A better source of events is not to be had: ${reason}`);
  return events;
}

function autoJobId(target: string, pid: number): string {
  return `auto-${target.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 80)}-${pid}`;
}

function isSame(
  a: { pid: number; startTicks: number } | null,
  b: { pid: number; startTicks: number },
): boolean {
  return a !== null && a.pid === b.pid && a.startTicks === b.startTicks;
}
