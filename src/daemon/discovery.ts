import { attachDiscovered } from "../jobs/attach/attach.ts";
import { screenProcess } from "../jobs/attach/eligibility.ts";
import { Refusal } from "../jobs/errors.ts";
import { MoveLockThread } from "../linux/cgroup/moveLock/thread.ts";
import { type ProcStat, readStat } from "../linux/proc/stat.ts";
import { listPids } from "../linux/proc/table.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { type GovernDecision, jobSpecOf } from "./decision.ts";
import type { JobTracker } from "./jobTracker.ts";
import { OnceForEach } from "./onceForEach.ts";

/** Asks the policy about processes, and governs those that it chooses. */
export class Discovery {
  readonly #context: DaemonContext;
  readonly #tracker: JobTracker;
  readonly #moveLock: MoveLockThread;
  readonly #notGoverned: OnceForEach;
  readonly #withoutTenant: OnceForEach;
  /** Timers of processes that are only too young yet, by PID. */
  readonly #retries = new Map<number, ReturnType<typeof setTimeout>>();

  constructor(context: DaemonContext, tracker: JobTracker) {
    this.#context = context;
    this.#tracker = tracker;
    this.#notGoverned = new OnceForEach(context.host);
    this.#withoutTenant = new OnceForEach(context.host);
    this.#moveLock = new MoveLockThread(context.hierarchies);
  }

  /** Considers every process, whatever its age. Returns those that were governed. */
  scanAll(): number[] {
    this.#cancelRetries();
    return listPids(this.#context.host).filter((pid) => this.consider(pid));
  }

  /** Governs the process if the policy chooses it and it is eligible. Returns whether it was governed. */
  consider(pid: number): boolean {
    const { store, reader } = this.#context;
    // Reads only the process's stat: `attachDiscovered` checks the rest under the lock of the process.
    const stat = screenProcess(this.#context, pid);
    if ("eligible" in stat) return false;
    const decision = decide(store.policy, reader.of(stat));
    this.#reportTenant(stat, decision);
    if (decision.govern) return this.#govern(stat, decision);
    if (decision.retryInMs !== undefined) this.#retryLater(stat, decision.retryInMs);
    return false;
  }

  stop(): void {
    this.#cancelRetries();
    this.#moveLock.stop();
  }

  #cancelRetries(): void {
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
  }

  #retryLater({ pid, startTicks }: ProcStat, delayMs: number): void {
    clearTimeout(this.#retries.get(pid));
    const retry = () => {
      this.#retries.delete(pid);
      const stat = readStat(this.#context.host, pid);
      if (stat !== "gone" && stat.startTicks === startTicks) this.consider(pid);
    };
    const timer = setTimeout(() => this.#context.postponed.attempt(retry), delayMs);
    this.#retries.set(pid, timer);
  }

  #reportTenant(stat: ProcStat, { tenantRefused: reason }: Decision): void {
    if (reason === undefined || !this.#withoutTenant.isFirst(stat)) return;
    const { pid, comm } = stat;
    this.#context.bus.emit({ kind: "tenant-refused", pid, comm, reason });
  }

  #reportNotGoverned(stat: ProcStat, target: string, reason: string): void {
    if (!this.#notGoverned.isFirst(stat)) return;
    this.#context.bus.emit({ kind: "not-governed", pid: stat.pid, target, reason });
  }

  #govern(stat: ProcStat, decision: GovernDecision): boolean {
    const { pid } = stat;
    const { target, rule } = decision;
    const { bus, store, options } = this.#context;
    this.#tracker.finishPending(pid);
    try {
      const spec = jobSpecOf(store.policy, decision, pid, options.placement);
      const attached = attachDiscovered(this.#context, stat, spec, () => this.#moveLock.requestWarmUp());
      if ("eligible" in attached) {
        // The others are gone, or are governed or left alone as the operator wants it.
        if (attached.code === "hidden" || attached.byAnother)
          this.#reportNotGoverned(stat, target, attached.reason);
        return false;
      }
      const { job, pidfd } = attached;
      bus.emit({ kind: "job-attached", job, target, rule });
      this.#tracker.observe(job, pidfd);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#reportNotGoverned(stat, target, error.message);
      return false;
    }
  }
}
