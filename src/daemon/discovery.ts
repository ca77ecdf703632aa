import { attachDiscovered } from "../jobs/attach/attach.ts";
import type { Context } from "../jobs/context.ts";
import { Refusal } from "../jobs/errors.ts";
import { MoveLockThread } from "../linux/cgroup/moveLock/thread.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import { readStat } from "../linux/proc/stat.ts";
import { listPids } from "../linux/proc/table.ts";
import { decide } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { autoJobId, chooseByPolicy, jobSpecOf, type PolicyChoice } from "./decision.ts";
import type { DaemonEvents } from "./events.ts";
import type { JobTracker } from "./jobTracker.ts";

/** Asks the policy about processes, and governs those that it chooses. */
export class Discovery {
  readonly #context: Context;
  readonly #reader: FactReader;
  readonly #tracker: JobTracker;
  readonly #bus: DaemonEvents;
  readonly #moveLock: MoveLockThread;
  /** Timers of processes that are only too young yet, by PID. */
  readonly #retries = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #placement: Placement;
  #policy: Policy;

  constructor(
    context: Context,
    reader: FactReader,
    policy: Policy,
    tracker: JobTracker,
    bus: DaemonEvents,
    placement: Placement = "auto",
  ) {
    this.#placement = placement;
    this.#context = context;
    this.#reader = reader;
    this.#policy = policy;
    this.#tracker = tracker;
    this.#bus = bus;
    this.#moveLock = new MoveLockThread(context.hierarchies);
  }

  /** Decides by another policy from now on. Call `scanAll` afterwards: the processes that were too young are forgotten. */
  switchTo(policy: Policy): void {
    this.#policy = policy;
    this.#cancelRetries();
  }

  /** Considers every process, whatever its age. Returns those that were governed. */
  scanAll(): number[] {
    return listPids(this.#context.host).filter((pid) => this.consider(pid));
  }

  /** Governs the process if the policy chooses it and it is eligible. Returns whether it was governed. */
  consider(pid: number): boolean {
    const choice = chooseByPolicy(this.#context, pid, (stat) => decide(this.#policy, this.#reader.of(stat)));
    if (choice.govern) return this.#govern(choice);
    if (choice.retry) this.#retryLater(pid, choice.retry);
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

  #retryLater(pid: number, { inMs, startTicks }: { inMs: number; startTicks: number }): void {
    clearTimeout(this.#retries.get(pid));
    const timer = setTimeout(() => {
      this.#retries.delete(pid);
      const stat = readStat(this.#context.host, pid);
      if (stat !== "gone" && stat.startTicks === startTicks) this.consider(pid);
    }, inMs);
    this.#retries.set(pid, timer);
  }

  #govern({ stat, decision }: PolicyChoice & { govern: true }): boolean {
    const { target, rule } = decision;
    const { pid } = stat;
    this.#tracker.finishPending(pid);
    try {
      const spec = {
        jobId: autoJobId(target, pid),
        placement: this.#placement,
        ...jobSpecOf(this.#policy, decision),
      };
      const attached = attachDiscovered(this.#context, stat, spec, () => this.#moveLock.requestWarmUp());
      if ("eligible" in attached) return false;
      const { job, pidfd } = attached;
      this.#bus.emit({ kind: "job-attached", job, target, rule });
      this.#tracker.observe(job, pidfd);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#bus.emit({ kind: "attach-failed", pid, target, reason: error.message });
      return false;
    }
  }
}
