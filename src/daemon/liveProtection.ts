import { applyGates, recordPolicyIntents } from "../jobs/limits/gates.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { isIntent } from "../limits/intents.ts";
import type { GovernorState } from "../metrics/governor/state.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { HeadroomGovernor } from "./governor.ts";

/** The jobs of a burst are there, or another process that changes gates has finished. */
const DELAY_MS = 100;

/**
 * Protects live jobs from batch: by the weights at the gates of batch jobs, and by the quotas of the governor where a gate
 * must stay as it is.
 */
export class LiveProtection {
  readonly #context: DaemonContext;
  readonly #onChange: (job: RunningJob) => void;
  readonly #governor: HeadroomGovernor;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /** `onChange` gets each job whose record has changed. */
  constructor(context: DaemonContext, onChange: (job: RunningJob) => void) {
    this.#context = context;
    this.#onChange = onChange;
    this.#governor = new HeadroomGovernor(context, { onChange });
    context.bus.subscribe((event) => {
      if (event.kind === "job-attached" && isIntent(event.job.intent)) this.#applySoon();
    });
  }

  /** `undefined` while the governor does nothing. */
  governor(): GovernorState | undefined {
    return this.#governor.state();
  }

  /** Makes the weights of batch jobs count against live jobs elsewhere. `isAgain`: if it cannot, the next scan does. */
  apply(isAgain = false): void {
    if (this.#isStopped) return;
    recordPolicyIntents(this.#context, this.#context.store.policy.hasIntents === true);
    const changed = applyGates(this.#context);
    if (changed !== "busy") for (const job of changed) this.#onChange(job);
    else if (!isAgain) this.#applySoon();
    // Only a job whose gate is closed gets a quota.
    this.#governor.check();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#governor.stop();
  }

  /** Once for jobs that start together. */
  #applySoon(): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#context.postponed.attempt(() => this.apply(true));
    }, DELAY_MS);
  }
}
