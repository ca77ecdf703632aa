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
import type { JobTracker } from "./jobTracker.ts";

/** Judges processes by the policy and takes under governance those that it names. */
export class Discovery {
  readonly #context: Context;
  readonly #reader: FactReader;
  readonly #tracker: JobTracker;
  readonly #log: (line: string) => void;
  readonly #moveLock: MoveLockThread;
  /** Processes that are only too young yet, by pid. */
  readonly #waiting = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #placement: Placement;
  #policy: Policy;

  constructor(
    context: Context,
    reader: FactReader,
    policy: Policy,
    tracker: JobTracker,
    log: (line: string) => void,
    placement: Placement = "auto",
  ) {
    this.#placement = placement;
    this.#context = context;
    this.#reader = reader;
    this.#policy = policy;
    this.#tracker = tracker;
    this.#log = log;
    this.#moveLock = new MoveLockThread(context.hierarchies);
  }

  /** Judges by another policy from now on. What was too young for the one before is for `lookAtAll` to find. */
  switchTo(policy: Policy): void {
    this.#policy = policy;
    this.#forgetWaiting();
  }

  /** Looks at every process, however long it has been there. Returns those that are governed from now on. */
  scanAll(): number[] {
    return listPids(this.#context.host).filter((pid) => this.consider(pid));
  }

  /** Governs the process if the policy wants that and the process is eligible. Returns whether it did. */
  consider(pid: number): boolean {
    const choice = chooseByPolicy(this.#context, pid, (stat) => decide(this.#policy, this.#reader.of(stat)));
    if (choice.govern) return this.#govern(choice);
    if (choice.retry) this.#wait(pid, choice.retry);
    return false;
  }

  stop(): void {
    this.#forgetWaiting();
    this.#moveLock.stop();
  }

  #forgetWaiting(): void {
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  #wait(pid: number, { inMs, startTicks }: { inMs: number; startTicks: number }): void {
    clearTimeout(this.#waiting.get(pid));
    const timer = setTimeout(() => {
      this.#waiting.delete(pid);
      const stat = readStat(this.#context.host, pid);
      if (stat !== "gone" && stat.startTicks === startTicks) this.consider(pid);
    }, inMs);
    this.#waiting.set(pid, timer);
  }

  #govern({ stat, decision }: PolicyChoice & { govern: true }): boolean {
    const { target, rule } = decision;
    const { pid } = stat;
    const jobId = autoJobId(target, pid);
    this.#tracker.finishPending(pid);
    try {
      const spec = { jobId, placement: this.#placement, ...jobSpecOf(this.#policy, decision) };
      const attached = attachDiscovered(this.#context, stat, spec, () => this.#moveLock.requestWarmUp());
      if ("eligible" in attached) return false;
      const { job, pidfd } = attached;
      const reasons = [rule && `rule ${rule}`, job.tenant && `tenant ${job.tenant}`].filter(Boolean);
      const because = reasons.length === 0 ? "" : ` (${reasons.join(", ")})`;
      this.#log(`Attaching to PID ${pid} (${target}) as job ${jobId}${because}`);
      for (const { limit, of, outcome, because } of job.outcomes) {
        if (outcome === "applied") continue;
        this.#log(`Job ${jobId}: ${of ? `${of}'s ` : ""}${limit} is ${outcome}: ${because}`);
      }
      this.#tracker.observe(job, pidfd);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#log(`Not governing PID ${pid} (${target}): ${error.message}`);
      return false;
    }
  }
}
