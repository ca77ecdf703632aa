import { attachDiscovered, withAttachLock } from "../jobs/attach/attach.ts";
import { screenProcess } from "../jobs/attach/eligibility.ts";
import { Refusal } from "../jobs/errors.ts";
import { maskText } from "../jobs/model/secrets.ts";
import { MoveLockThread } from "../linux/cgroup/moveLock/thread.ts";
import type { SlowFacts } from "../linux/proc/slowFacts/slowFacts.ts";
import { type ProcStat, readProgram, readStat } from "../linux/proc/stat.ts";
import { listPids, processExists } from "../linux/proc/table.ts";
import { askWithFacts } from "../policy/collectFacts.ts";
import { type Decision, decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { type GovernDecision, isGovernedLast, jobSpecOf } from "./decision.ts";
import type { JobTracker } from "./jobTracker.ts";
import { OnceForEach } from "./onceForEach.ts";

/** The most decisions about a process that executes another program meanwhile. After them, it is governed as it is. */
const MAX_CHANGES = 3;
/**
 * Bounds the memory of a scan: what is known of a process takes 10 kB while it is considered. As many whose owner delays them, by a
 * lock on their directory in procfs, delay the others of the scan by 0.25 s.
 */
const MAX_CONSIDERED_AT_ONCE = 64;

/** `again`: an event about the process has arrived since its facts were read. */
interface Considered {
  again: boolean;
  changes: number;
}

/** Asks the policy about processes, and governs those that it chooses. */
export class Discovery {
  readonly #context: DaemonContext;
  readonly #tracker: JobTracker;
  readonly #onGoverned: (stat: ProcStat) => void;
  readonly #moveLock: MoveLockThread;
  readonly #notGoverned: OnceForEach;
  readonly #withoutTenant: OnceForEach;
  /** Timers of processes that are only too young yet, by PID. */
  readonly #retries = new Map<number, ReturnType<typeof setTimeout>>();
  /** The processes that are being considered, by PID, and whether to consider them again afterwards. */
  readonly #considered = new Map<number, Considered>();
  /** PIDs of processes that were decided about without some facts, because these could not be read in time. */
  #unread = new Set<number>();
  #isStopped = false;

  /** `onGoverned` gets what was read of a process that is governed now. */
  constructor(context: DaemonContext, tracker: JobTracker, onGoverned: (stat: ProcStat) => void) {
    this.#context = context;
    this.#onGoverned = onGoverned;
    this.#tracker = tracker;
    this.#notGoverned = new OnceForEach(context.host);
    this.#withoutTenant = new OnceForEach(context.host);
    this.#moveLock = new MoveLockThread(context.hierarchies, context.scheduling.isRealtime);
  }

  /** Considers every process, whatever its age. Resolves to those that were governed. */
  async scanAll(): Promise<number[]> {
    this.#cancelRetries();
    for (const each of this.#considered.values()) each.again = true;
    return this.considerAll(listPids(this.#context.host));
  }

  /**
   * Considers some processes. Resolves to those that were governed. Those of `isGovernedLast`
   * come after the others.
   */
  async considerAll(pids: readonly number[]): Promise<number[]> {
    const found = new Set<number>();
    const considerEach = async (some: readonly number[], last?: number[]) => {
      const remaining = some.values();
      const considerNext = async () => {
        for (const pid of remaining) if (await this.consider(pid, last)) found.add(pid);
      };
      const atOnce = Math.min(some.length, MAX_CONSIDERED_AT_ONCE);
      await Promise.all(Array.from({ length: atOnce }, considerNext));
    };
    const last: number[] = [];
    await considerEach(pids, last);
    await considerEach(last);
    return pids.filter((pid) => found.has(pid));
  }

  /** Considers a process that an event has reported, ahead of what else this machine does. */
  async considerNow(pid: number): Promise<boolean> {
    const { host, scheduling } = this.#context;
    // Most programs end soon, and the check would say for each of them why it is not governed.
    return scheduling.hurry(async () => processExists(host, pid) && this.consider(pid));
  }

  /**
   * Governs the process if the policy chooses it and it is eligible. Resolves to whether it was governed. A process that
   * delays its facts delays only this. Without file descriptors, the work is postponed. With `last`, a process of
   * `isGovernedLast` is added to it and not governed yet.
   */
  async consider(pid: number, last?: number[]): Promise<boolean> {
    const earlier = this.#considered.get(pid);
    if (earlier !== undefined) {
      earlier.again = true;
      return false;
    }
    const considered = { again: true, changes: 0 };
    this.#considered.set(pid, considered);
    try {
      let isGoverned = false;
      while (considered.again && !isGoverned && !this.#isStopped) {
        considered.again = false;
        isGoverned =
          (await this.#context.postponed.attemptAsync(() => this.#decide(pid, considered, last))) ?? false;
      }
      return isGoverned;
    } finally {
      this.#considered.delete(pid);
    }
  }

  /** Returns the processes whose facts were late, to consider them again: they may be readable by now. */
  takeUnread(): number[] {
    const pids = [...this.#unread];
    this.#unread.clear();
    return pids;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetries();
    this.#moveLock.stop();
  }

  async #decide(pid: number, considered: Considered, last: number[] | undefined): Promise<boolean> {
    // Reads only the process's stat: `attachDiscovered` checks the rest under the lock of the process.
    const stat = screenProcess(this.#context, pid);
    if ("eligible" in stat) return false;
    const { host, store } = this.#context;
    const { policy } = store;
    const { answer, slow } = await askWithFacts(this.#context, stat, (facts) => decide(policy, facts));
    if (slow.isLate) this.#unread.add(pid);
    this.#reportTenant(stat, answer);
    if (answer.govern) {
      if (last !== undefined && isGovernedLast(policy, answer)) {
        last.push(pid);
        return false;
      }
      // The arguments are of an earlier program than the name, or will be of an earlier one than the job.
      const isOutdated = considered.again || (!slow.isLate && slow.program(stat) !== readProgram(host, pid));
      if (!isOutdated || considered.changes++ >= MAX_CHANGES) return this.#govern(stat, policy, answer, slow);
      considered.again = true;
      return false;
    }
    if (answer.retryInMs !== undefined && !this.#isStopped) this.#retryLater(stat, answer.retryInMs);
    return false;
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
      if (stat !== "gone" && stat.startTicks === startTicks) void this.consider(pid);
    };
    const timer = setTimeout(() => this.#context.postponed.attempt(retry), delayMs);
    this.#retries.set(pid, timer);
  }

  #reportTenant(stat: ProcStat, { tenantRefused: reason }: Decision): void {
    if (reason === undefined || !this.#withoutTenant.isFirst(stat)) return;
    const { pid, comm } = stat;
    this.#context.bus.emit({ kind: "tenant-refused", pid, comm: maskText(comm), reason });
  }

  #reportNotGoverned(stat: ProcStat, target: string, reason: string): void {
    if (!this.#notGoverned.isFirst(stat)) return;
    this.#context.bus.emit({ kind: "not-governed", pid: stat.pid, target, reason });
  }

  async #govern(stat: ProcStat, policy: Policy, decision: GovernDecision, slow: SlowFacts): Promise<boolean> {
    const { pid } = stat;
    const { target, rule } = decision;
    const { bus, store, options, host } = this.#context;
    const spec = jobSpecOf(policy, decision, pid, options.placement);
    try {
      return await withAttachLock(host, pid, () => {
        // A scan follows the reload of a policy, and considers the process again.
        if (this.#isStopped || store.policy !== policy) return false;
        this.#tracker.finishPending(pid);
        const warmUp = () => this.#moveLock.requestWarmUp();
        const attached = attachDiscovered(this.#context, stat, spec, slow, warmUp);
        if ("eligible" in attached) {
          // The others are gone, or are governed or left alone as the operator wants it.
          if (attached.code === "hidden" || attached.byAnother)
            this.#reportNotGoverned(stat, target, attached.reason);
          return false;
        }
        const { job, pidfd } = attached;
        bus.emit({ kind: "job-attached", job, target, rule });
        this.#tracker.observe(job, pidfd);
        this.#onGoverned(stat);
        return true;
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#reportNotGoverned(stat, target, error.message);
      return false;
    }
  }
}
