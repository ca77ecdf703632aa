import { openProcessHandle } from "../jobs/attach/attach.ts";
import { JobObserver, type ObservedEnd } from "../jobs/exit/jobObserver.ts";
import { detailOfLeaving } from "../jobs/exit/observerLeft.ts";
import { recordExit } from "../jobs/exit/recordExit.ts";
import { matchStoredPidfd } from "../jobs/exit/storedPidfd.ts";
import { isOpen, isSameProcess, type OpenJob, type RunningJob } from "../jobs/model/job.ts";
import { takeOverScope } from "../jobs/placement/jobScope.ts";
import { releaseKeeper } from "../jobs/placement/scopeKeeper.ts";
import { isObserved, repairJob } from "../jobs/recovery/recover.ts";
import { watchLedgerFile } from "../ledger/database.ts";
import type { ProcessEvents } from "../linux/events/processEvents.ts";
import type { FileWatch } from "../linux/fileWatch.ts";
import { isAlive } from "../linux/proc/identity.ts";
import { closeFd } from "../sys/descriptor.ts";
import type { ControlAnswer } from "./controlSocket.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { JobMeasurements } from "./jobMeasurements.ts";
import { LingeringJobs } from "./lingeringJobs.ts";

/** The interval at which the observers of jobs are checked. No event reports the death of an ffrtmp, so we poll. */
const TAKEOVER_INTERVAL_MS = 500;
/** The records of plain launches are moved into the ledger together, at most this often. */
const FOLD_DELAY_MS = 1000;
const MAX_REPORTED = 1024;
/** A process reports an end at once. An earlier daemon may have reported an older one. */
const REPORT_WINDOW_MS = 60_000;

/**
 * Observes the process of every open job in the ledger until it ends, and records the ends of this daemon's
 * own jobs and of those whose observer died, even together with its workload.
 */
export class JobTracker {
  readonly #context: DaemonContext;
  /** Use `observe` and `forget` of the tracker, which store and drop the pidfd too. */
  readonly observer: JobObserver;
  readonly lingeringJobs: LingeringJobs;
  readonly measurements: JobMeasurements;
  readonly #ledgerWatch: FileWatch | undefined;
  /** Runs only while other ffrtmp processes observe jobs: waking up is most of the cost of an idle daemon. */
  #takeoverTimer: ReturnType<typeof setInterval> | undefined;
  /** Ends that this daemon or the observer of the job has not recorded yet, by the key of the job. */
  readonly #ends = new Map<string, ObservedEnd>();
  /** Open jobs whose observer is not this daemon, as of the last change of the ledger by another process. */
  #jobsOfOthers = new Map<string, OpenJob>();
  #ledgerVersion: number | undefined;
  /** The keys of the last jobs whose ends others have recorded and this daemon has reported. */
  readonly #reported = new Set<string>();
  /** Gets processes that an operator has returned to the policy. */
  readonly #considerAgain: (pid: number) => void;
  #lastEventId: number;
  #foldTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: DaemonContext, events: ProcessEvents, considerAgain: (pid: number) => void) {
    this.#context = context;
    this.#considerAgain = considerAgain;
    // The scan at the start considers the processes that were returned before.
    this.#lastEventId = context.ledger.returnedAfter(0).last;
    this.observer = new JobObserver(context, events, (end) => this.#postponeEnd(end));
    this.lingeringJobs = new LingeringJobs(context);
    this.measurements = new JobMeasurements(context, () => this.observer.jobs());
    this.#ledgerWatch = watchLedgerFile(context.ledger.path, () =>
      context.postponed.attempt(() => this.#syncWithLedger()),
    );
  }

  /** Closes `pidfd` when the job has ended or is forgotten. */
  observe(job: RunningJob, pidfd: number | undefined): void {
    this.#context.service.storePidfd(job, pidfd);
    this.observer.observe(job, pidfd);
    this.measurements.wake();
  }

  /** Returns the running jobs whose observer is this daemon, as they are recorded. */
  ownJobs(): RunningJob[] {
    const { ledger, self } = this.#context;
    const observed = this.observer.jobs();
    const running = ledger.openJobs().filter((job) => job.state === "running");
    return running.filter(({ key, observer }) => observed.has(key) && isSameProcess(observer, self));
  }

  forget(job: RunningJob): void {
    this.observer.forget(job);
    this.#context.service.dropPidfd(job);
  }

  /** Records a pending end of this PID. Its job must be closed before the PID gets a job of the same id. */
  finishPending(pid: number): void {
    for (const [key, { job }] of this.#ends) if (job.process.pid === pid) this.#recordEnd(key);
  }

  /** Takes over the jobs whose observer died, and records the ends that such an observer did not record. */
  checkObservers(): void {
    this.#syncWithLedger();
    for (const key of this.#ends.keys()) this.#recordEnd(key);
    for (const job of this.#jobsOfOthers.values()) this.#takeOverIfUnobserved(job);
  }

  /**
   * Observes the processes whose pidfds the service manager kept while no daemon ran, or records their ends.
   * Call it before any repair, which closes jobs that seem to have no observer.
   */
  resumeStoredPidfds(): void {
    const { ledger, service } = this.#context;
    const open = new Map(ledger.openJobs().map((job) => [job.key, job]));
    for (const { key = "", fd } of service.receiveStoredPidfds()) {
      const job = open.get(key);
      const match = job === undefined ? "stranger" : matchStoredPidfd(this.#context, job, fd);
      if (this.observer.jobs().has(key)) {
        // A second descriptor under the same name: the manager drops by name, and so the first one too.
        closeFd(fd);
      } else if (job?.state !== "running" || match === "stranger") {
        service.dropPidfd({ key });
        closeFd(fd);
      } else if (match === "there") {
        this.observer.observe(job, fd, { wasAlive: isAlive(this.#context.host, job.process) });
        this.measurements.wake();
        if (!isObserved(this.#context, job)) this.#takeOver(job);
      } else {
        closeFd(fd);
        this.#ends.set(key, { job, ending: match, time: "unseen", measured: {} });
        this.#recordEnd(key);
      }
    }
  }

  /**
   * Takes over a job from its living observer, which is the process that asks and leaves after that. Returns why not:
   * then that process must stay. A pidfd is open before the ledger names this daemon as the observer, so that the end
   * of the job has an observer at every instant.
   */
  takeOverFrom(observerPid: number, key: string): string | undefined {
    this.#syncWithLedger();
    const seen = this.#context.ledger.job(key);
    if (seen?.state !== "running") return "the job is not running";
    if (seen.observer?.pid !== observerPid) return "another process observes the job";
    if (!this.observer.hasPidfd(key)) return "the job's process has ended, or no pidfd of it can be opened";
    const job = this.#changeObserver(seen, "handed_over");
    if (job === undefined) return "the job has ended, or the ledger cannot be written";
    this.#context.bus.emit({ kind: "job-handed-over", job });
    return undefined;
  }

  /**
   * Reports the end of a job that ended before its handover, as if this daemon had recorded it. The process that recorded it
   * sends this once.
   */
  reportRecorded(key: string): ControlAnswer {
    const job = this.#context.ledger.job(key);
    const result = job?.state === "ended" ? this.#context.ledger.result(job) : undefined;
    if (job === undefined || result === undefined) return { ok: false, error: "the job has no result" };
    const isRecent = this.#context.host.now() - result.endMs < REPORT_WINDOW_MS;
    if (!isRecent || this.#reported.has(key))
      return { ok: false, error: "the end of the job was reported already, or long ago" };
    if (this.#reported.size >= MAX_REPORTED) this.#reported.clear();
    this.#reported.add(key);
    this.#context.bus.emit({ kind: "job-ended", job, result });
    return { ok: true };
  }

  /** Leaves every job without an observer. The jobs keep running under their limits. `cause`: a signal, or `--once`. */
  releaseAll(cause: string): void {
    clearInterval(this.#takeoverTimer);
    clearTimeout(this.#foldTimer);
    this.#ledgerWatch?.close();
    this.lingeringJobs.stop();
    for (const key of this.#ends.keys()) this.#recordEnd(key);
    this.measurements.stop();
    const { ledger, self, host } = this.#context;
    for (const job of this.observer.jobs().values()) {
      if (!isSameProcess(job.observer, self)) continue;
      ledger.takeOver(job, null);
      const times = { atMs: host.now(), atBootMs: host.bootNow() };
      ledger.addEvent(job, { ...times, kind: "observer_left", detail: detailOfLeaving(cause) });
    }
  }

  /** Reads the ledger again if another process has written to it. */
  #syncWithLedger(): void {
    const version = this.#context.ledger.versionOfOthers();
    if (version !== this.#ledgerVersion) {
      this.#readLedger();
      this.#considerReturned();
      this.#scheduleFold();
    }
    this.#ledgerVersion = version;
    const mustPoll = this.#jobsOfOthers.size > 0 || this.#ledgerWatch === undefined;
    const check = () => this.#context.postponed.attempt(() => this.checkObservers());
    if (mustPoll) this.#takeoverTimer ??= setInterval(check, TAKEOVER_INTERVAL_MS);
    else {
      clearInterval(this.#takeoverTimer);
      this.#takeoverTimer = undefined;
    }
  }

  #scheduleFold(): void {
    this.#foldTimer ??= setTimeout(() => {
      this.#foldTimer = undefined;
      this.#context.postponed.attempt(() => this.#context.ledger.foldInbox());
    }, FOLD_DELAY_MS);
  }

  /** Stops observing the jobs that other processes closed, and observes the jobs that they started. */
  #readLedger(): void {
    const { ledger, self } = this.#context;
    const open = new Map(ledger.openJobs().map((job) => [job.key, job]));
    const ended = [...this.#ends.values()].map(({ job }) => job);
    for (const job of [...this.observer.jobs().values(), ...ended]) {
      if (open.has(job.key)) continue;
      this.observer.forget(job);
      this.#ends.delete(job.key);
      releaseKeeper(job);
    }
    this.#context.service.dropAllExcept(open);
    this.lingeringJobs.scheduleCleanUp();
    const observed = this.observer.jobs();
    for (const job of open.values()) {
      if (observed.has(job.key)) {
        // Its limits may be others, and its observer.
        if (job.state === "running") this.observer.update(job);
      } else if (!this.#ends.has(job.key)) this.#observeProcessOf(job);
    }
    this.#jobsOfOthers = new Map([...open].filter(([, { observer }]) => !isSameProcess(observer, self)));
  }

  #considerReturned(): void {
    const { pids, last } = this.#context.ledger.returnedAfter(this.#lastEventId);
    this.#lastEventId = last;
    for (const pid of pids) this.#considerAgain(pid);
  }

  #observeProcessOf(job: OpenJob): void {
    if (job.state !== "running") return;
    const pidfd = openProcessHandle(this.#context.host, job.process);
    if (pidfd !== "gone") this.observe(job, pidfd);
  }

  #takeOverIfUnobserved(seen: OpenJob): void {
    if (isObserved(this.#context, seen) || this.#ends.has(seen.key)) return;
    const isWatched = this.observer.jobs().has(seen.key);
    if (repairJob(this.#context, seen, isWatched) !== "unobserved") return;
    const current = this.#context.ledger.job(seen.key);
    if (current?.state !== "running") return;
    const job = this.#takeOver(current);
    if (job && !this.observer.jobs().has(job.key)) this.#observeProcessOf(job);
  }

  /** Makes this daemon the observer of a job that has none, unless another ffrtmp was faster. */
  #takeOver(seen: RunningJob): RunningJob | undefined {
    const job = this.#changeObserver(seen, "adopted");
    if (job) this.#context.bus.emit({ kind: "job-taken-over", job });
    return job;
  }

  #changeObserver(seen: RunningJob, kind: "adopted" | "handed_over"): RunningJob | undefined {
    const { ledger, host, self } = this.#context;
    const job = ledger.takeOver(seen, self);
    if (!job) return undefined;
    this.observer.update(job);
    this.#jobsOfOthers.delete(job.key);
    takeOverScope(this.#context, job);
    const times = { atMs: host.now(), atBootMs: host.bootNow() };
    ledger.addEvent(job, { ...times, kind, detail: { observer_pid: self.pid } });
    return job;
  }

  /**
   * Recording an end takes milliseconds and can wait. A process that has just appeared cannot: it may end
   * before it is governed. So ends are recorded one at a time, when no other event waits.
   */
  #postponeEnd(end: ObservedEnd): void {
    const { key } = end.job;
    this.#ends.set(key, end);
    setImmediate(() => this.#context.postponed.attempt(() => this.#recordEnd(key)));
  }

  /** Records the end of a job, unless its observer is alive: that one saw the end too, and may know more. */
  #recordEnd(key: string): void {
    const end = this.#ends.get(key);
    if (!end) return;
    const { job, ending, time, measured } = end;
    const { ledger, service, bus, self } = this.#context;
    const current = ledger.job(key);
    if (!current || !isOpen(current)) {
      this.#ends.delete(key);
      service.dropPidfd(job);
      releaseKeeper(job);
      return;
    }
    if (!isSameProcess(current.observer, self) && isObserved(this.#context, current)) return;
    this.measurements.finish(job);
    const { result, isOurs, survivors } = recordExit(this.#context, current, ending, {
      atEnd: measured,
      time,
    });
    this.#ends.delete(key);
    // After the result is recorded: if this daemon dies in between, the next one finds the end in the pidfd.
    service.dropPidfd(job);
    if (isOurs) bus.emit({ kind: "job-ended", job: current, result });
    if (survivors.length === 0) return;
    bus.emit({ kind: "job-left-processes", job, pids: survivors });
    this.lingeringJobs.scheduleCleanUp();
  }
}
