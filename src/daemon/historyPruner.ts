import { abandon, type PrunePass, prune } from "../ledger/prune.ts";
import {
  DEFAULT_RETENTION,
  type Retention,
  recordPass,
  recordRetention,
  retentionClock,
} from "../ledger/retention.ts";
import type { DaemonContext } from "./daemonContext.ts";

/** After the start of the daemon, when it governs what it found. */
const FIRST_PASS_MS = 5000;
const INTERVAL_MS = 3_600_000;
/** The pause between two steps, each of which delays the events of a few milliseconds. */
const PAUSE_MS = 50;

/** Returns the retention in force: the options of `watch`, or else the policy's, or else the default. */
function retentionOf({ options, store }: Pick<DaemonContext, "options" | "store">): Retention {
  const { maxAgeMs, maxBytes } = store.policy.retention ?? {};
  return {
    maxAgeMs: options.retention.maxAgeMs ?? maxAgeMs ?? DEFAULT_RETENTION.maxAgeMs,
    maxBytes: options.retention.maxBytes ?? maxBytes ?? DEFAULT_RETENTION.maxBytes,
  };
}

/** Deletes old history every hour, a few milliseconds at a time. */
export class HistoryPruner {
  readonly #context: DaemonContext;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pass: PrunePass | undefined;

  constructor(context: DaemonContext) {
    this.#context = context;
    this.recordRetention();
    this.#later(FIRST_PASS_MS, () => this.#startPass());
  }

  /** Records the retention in force for `run` and `prune`. Call it after each change of the policy. */
  recordRetention(): void {
    recordRetention(this.#context.ledger, retentionOf(this.#context));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#endPass();
  }

  #startPass(): void {
    const { host, ledger, state } = this.#context;
    if (ledger.unreadableBecause !== undefined) throw new Error(ledger.unreadableBecause);
    const atMs = host.now();
    const clockMs = retentionClock(ledger, atMs, INTERVAL_MS);
    const retention = retentionOf(this.#context);
    const pass = prune({ host, state, retention, nowMs: clockMs, countLogs: true });
    this.#pass = pass;
    // Recorded at the start: `run` leaves a long pass to the daemon.
    recordPass(ledger, { atMs, clockMs });
    this.#continuePass(pass);
  }

  #continuePass(pass: PrunePass): void {
    const step = pass.next();
    if (!step.done) {
      this.#later(PAUSE_MS, () => this.#continuePass(pass));
      return;
    }
    this.#context.bus.emit({ kind: "history-pruned", pruned: step.value });
    this.#later(INTERVAL_MS, () => this.#startPass());
  }

  /** A failure ends the pass, and never the daemon. */
  #later(delayMs: number, action: () => void): void {
    this.#timer = setTimeout(() => {
      try {
        this.#context.scheduling.inBackground(action);
      } catch (error) {
        this.#endPass();
        const reason = error instanceof Error ? error.message : String(error);
        this.#context.bus.emit({ kind: "history-prune-failed", reason });
        this.#later(INTERVAL_MS, () => this.#startPass());
      }
    }, delayMs);
  }

  #endPass(): void {
    if (this.#pass) abandon(this.#pass);
    this.#pass = undefined;
  }
}
