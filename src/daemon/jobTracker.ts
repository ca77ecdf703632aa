import { openProcessHandle } from "../jobs/attach/processHandle.ts";
import type { Context } from "../jobs/context.ts";
import { JobObserver, type ObservedEnd } from "../jobs/exit/jobObserver.ts";
import { recordExit } from "../jobs/exit/recordExit.ts";
import { matchStoredPidfd } from "../jobs/exit/storedPidfd.ts";
import { isObserved } from "../jobs/liveness.ts";
import {
  isOpen,
  isRunning,
  isSameProcess,
  type Job,
  type OpenJob,
  type RunningJob,
} from "../jobs/model/job.ts";
import { leaveScope, takeOverScope } from "../jobs/placement/jobScope.ts";
import { repairJob } from "../jobs/recovery/recover.ts";
import { summaryLine, survivorsLine } from "../jobs/summary.ts";
import { watchLedgerFile } from "../ledger/ledgerWatch.ts";
import type { ProcessEvent, ProcessEvents } from "../linux/events/processEvents.ts";
import type { FileWatch } from "../linux/fileWatch.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { closeFd } from "../sys/descriptor.ts";
import { LingeringJobs } from "./lingeringJobs.ts";
import type { ServiceManager } from "./serviceManager.ts";

/** How soon the jobs of an ffrtmp that died are taken over. Nothing tells of that death: it is looked for. */
const TAKEOVER_INTERVAL_MS = 500;

/**
 * Holds the process of every open job in the ledger to its end and records that: of the daemon's own jobs, and of those
 * of every other ffrtmp whose observer dies, even together with its workload.
 */
export class JobTracker {
  readonly #context: Context;
  readonly #service: ServiceManager;
  readonly #log: (line: string) => void;
  readonly #observer: JobObserver;
  readonly #lingeringJobs: LingeringJobs;
  readonly #ledgerWatch: FileWatch | undefined;
  /** Runs while there is something to look for: waking up is most of what standing by costs. */
  #checkingObservers: ReturnType<typeof setInterval> | undefined;
  /** Ends that were told and are not dealt with yet, by the key of their jobs. */
  readonly #toldEnds = new Map<string, ObservedEnd>();
  /** Ends that were seen of jobs whose own observer lives and is about to record them. */
  readonly #seenEnds = new Map<string, ObservedEnd>();
  /** Open jobs that are not observed by us, as of the last change that others made in the ledger. */
  #jobsOfOthers = new Map<string, OpenJob>();
  #ledgerVersion: number | undefined;

  constructor(context: Context, events: ProcessEvents, service: ServiceManager, log: (line: string) => void) {
    this.#context = context;
    this.#service = service;
    this.#log = log;
    this.#observer = new JobObserver(context, events, (end) => this.#postponeEnd(end));
    this.#lingeringJobs = new LingeringJobs(context, log);
    this.#ledgerWatch = watchLedgerFile(context.ledger.path, () => this.#noticeOthers());
  }

  /** How many processes are held. */
  get size(): number {
    return this.#observer.jobs().size;
  }

  take(batch: ProcessEvent[]): void {
    this.#observer.take(batch);
  }

  switchTo(events: ProcessEvents): void {
    this.#observer.switchTo(events);
  }

  /** `pidfd` is ours to close from here on. */
  observe(job: RunningJob, pidfd: number | undefined): void {
    this.#service.keep(job, pidfd);
    this.#observer.observe(job, pidfd);
  }

  /** Replaces what is known of an observed job. */
  update(job: RunningJob): void {
    this.#observer.update(job);
  }

  /** Returns the jobs that this daemon observes, as they are recorded. */
  ownJobs(): RunningJob[] {
    const { ledger, self } = this.#context;
    const observed = this.#observer.jobs();
    return ledger
      .openJobs()
      .filter(isRunning)
      .filter(({ key, observer }) => observed.has(key) && isSameProcess(observer, self));
  }

  /** A job that was released: its process is let go. */
  forget(job: Pick<Job, "key">): void {
    this.#observer.forget(job);
    this.#service.forget(job);
  }

  /** A pid may be that of a process which has just ended: its job has to make room for one of the same name. */
  finishPending(pid: number): void {
    for (const [key, { job }] of this.#toldEnds) if (job.process.pid === pid) this.#endTold(key);
  }

  /** Takes over jobs whose observer has died, and closes those whose end was seen and whose observer died of it too. */
  checkObservers(): void {
    this.#noticeOthers();
    for (const [key, end] of this.#seenEnds) {
      if (this.#jobsOfOthers.has(key)) this.#end(end);
      else this.#seenEnds.delete(key);
    }
    for (const job of this.#jobsOfOthers.values()) this.#takeOverIfLeft(job);
  }

  /** Removes the cgroups of ended jobs whose last process, left behind by the workload, has gone by now. */
  cleanUp(): void {
    this.#lingeringJobs.cleanUp();
  }

  /**
   * Takes up the processes that the service manager held while no daemon ran, those that have ended meanwhile too. Comes
   * before any repair, which closes what nobody seems to hold.
   */
  resumeStoredPidfds(): void {
    const open = new Map(this.#context.ledger.openJobs().map((job) => [job.key, job]));
    for (const { key, fd } of this.#service.takeStoredPidfds()) {
      const job = key === undefined ? undefined : open.get(key);
      if (job !== undefined && this.#observer.jobs().has(job.key)) {
        // A second descriptor under the same name; the manager drops them by name, and the first is to be kept.
        closeFd(fd);
        continue;
      }
      const held = job === undefined ? "stranger" : matchStoredPidfd(this.#context, job, fd);
      if (job?.state !== "running" || held === "stranger") {
        if (key !== undefined) this.#service.forget({ key });
        closeFd(fd);
      } else if (held === "there") {
        this.#observer.observe(job, fd);
        if (!isObserved(this.#context, job)) this.#adopt(job);
      } else {
        closeFd(fd);
        this.#end({ job, ending: held, measured: {} });
      }
    }
  }

  /** Lets every job go; they and their limits stay. */
  releaseAll(): void {
    clearInterval(this.#checkingObservers);
    this.#ledgerWatch?.close();
    this.#lingeringJobs.stop();
    for (const key of this.#toldEnds.keys()) this.#endTold(key);
    const { ledger, self, host } = this.#context;
    for (const job of this.#observer.jobs().values()) {
      if (!isSameProcess(job.observer, self)) continue;
      ledger.takeOver(job, null);
      ledger.addEvent(job, { atMs: host.now(), kind: "observer_left", detail: {} });
    }
  }

  #noticeOthers(): void {
    const version = this.#context.ledger.versionOfOthers();
    if (version !== this.#ledgerVersion) this.#readLedger();
    this.#ledgerVersion = version;
    const mustLook = this.#jobsOfOthers.size > 0 || this.#ledgerWatch === undefined;
    if (mustLook) this.#checkingObservers ??= setInterval(() => this.checkObservers(), TAKEOVER_INTERVAL_MS);
    else {
      clearInterval(this.#checkingObservers);
      this.#checkingObservers = undefined;
    }
  }

  /** Forgets what others have closed, and holds the processes of what others have begun. */
  #readLedger(): void {
    const { ledger, self } = this.#context;
    const open = new Map(ledger.openJobs().map((job) => [job.key, job]));
    for (const job of this.#observer.jobs().values()) {
      if (open.has(job.key)) continue;
      this.#observer.forget(job);
      leaveScope(job);
    }
    this.#service.keepOnly(open);
    this.#lingeringJobs.notice();
    const held = this.#observer.jobs();
    for (const job of open.values()) {
      if (!held.has(job.key) && !this.#seenEnds.has(job.key)) this.#hold(job);
    }
    this.#jobsOfOthers = new Map([...open].filter(([, { observer }]) => !isSameProcess(observer, self)));
  }

  #hold(job: OpenJob): void {
    if (job.state !== "running") return;
    const handle = openProcessHandle(this.#context.host, job.process);
    if (handle !== "gone") this.observe(job, handle.pidfd);
  }

  #isAlive({ process }: OpenJob): boolean {
    return process !== null && isAlive(this.#context.host, process);
  }

  #takeOverIfLeft(seen: OpenJob): void {
    if (isObserved(this.#context, seen)) return;
    if (this.#seenEnds.has(seen.key) || this.#toldEnds.has(seen.key)) return;
    // It is over, and the evidence of how is about to come.
    if (this.#observer.jobs().has(seen.key) && !this.#isAlive(seen)) return;
    if (repairJob(this.#context, seen) !== "unobserved") return;
    const current = this.#context.ledger.job(seen.key);
    if (current?.state !== "running") return;
    const job = this.#adopt(current);
    if (job && !this.#observer.jobs().has(job.key)) this.#hold(job);
  }

  /** Makes this daemon the observer of a job that has none. Returns `undefined` when another daemon was faster. */
  #adopt(job: RunningJob): RunningJob | undefined {
    const { ledger, host, self } = this.#context;
    const adopted = ledger.takeOver(job, self);
    if (!adopted) return undefined;
    this.#observer.update(adopted);
    this.#jobsOfOthers.delete(job.key);
    takeOverScope(this.#context, adopted);
    const detail = { observer_pid: self.pid };
    ledger.addEvent(adopted, { atMs: host.now(), kind: "adopted", detail });
    this.#log(`Taking over job ${job.jobId} (PID ${job.process.pid}), which nobody observed`);
    return adopted;
  }

  /**
   * Closing a job takes milliseconds and can wait; a process that has just appeared cannot, for it may be gone by then.
   * So ends are dealt with one at a time, whenever nothing else has been told.
   */
  #postponeEnd(end: ObservedEnd): void {
    const { key } = end.job;
    this.#toldEnds.set(key, end);
    setImmediate(() => this.#endTold(key));
  }

  #endTold(key: string): void {
    const told = this.#toldEnds.get(key);
    if (!told) return;
    this.#toldEnds.delete(key);
    this.#end(told);
  }

  /** Closes a job, unless its own observer lives: that one was told too, perhaps more. */
  #end(end: ObservedEnd): void {
    const { job, ending, measured } = end;
    const current = this.#context.ledger.job(job.key);
    if (!current || !isOpen(current)) {
      this.#service.forget(job);
      leaveScope(job);
      return;
    }
    if (!isSameProcess(current.observer, this.#context.self) && isObserved(this.#context, current)) {
      this.#seenEnds.set(job.key, end);
      return;
    }
    this.#seenEnds.delete(job.key);
    const { result, isOurs, survivors } = recordExit(this.#context, current, ending, { atEnd: measured });
    // Not before the result is on record: should this daemon die in between, the next one finds the end as we did.
    this.#service.forget(job);
    if (isOurs) this.#log(summaryLine(current, result));
    if (survivors.length === 0) return;
    this.#log(survivorsLine(job, survivors));
    this.#lingeringJobs.notice();
  }
}
