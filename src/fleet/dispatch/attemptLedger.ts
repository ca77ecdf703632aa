import { Ledger, RETIRED } from "../../ledger/ledger.ts";
import { NotWritten } from "../../ledger/store.ts";
import { FLEET_JOB_LABEL } from "../messages/job.ts";
import { type AttemptLedger, type Fate, LedgerTrouble } from "./runner.ts";

/** The ledger of this machine, opened for each question: it can be replaced at any time. */
export class NodeAttemptLedger implements AttemptLedger {
  readonly #path: string;
  readonly #warn: (text: string) => void;

  constructor(path: string, warn: (text: string) => void) {
    this.#path = path;
    this.#warn = warn;
  }

  fateOf(id: string): Fate {
    return this.#use((ledger) => {
      // The jobs first: a job that is added meanwhile has an id that is used.
      if (ledger.jobsNamed(id).length > 0) return "job";
      const usedMs = ledger.usedOnceMs(id);
      // The record of a job that ended is deleted some time.
      return usedMs === undefined ? "unused" : usedMs === RETIRED ? "retired" : "job";
    });
  }

  retire(id: string): boolean {
    return this.#use((ledger) => ledger.retireId(id));
  }

  countRunning(): number {
    return this.#use(
      (ledger) => ledger.openJobs().filter(({ labels }) => Object.hasOwn(labels, FLEET_JOB_LABEL)).length,
    );
  }

  #use<T>(use: (ledger: Ledger) => T): T {
    const ledger = new Ledger(this.#path, this.#warn);
    try {
      const value = use(ledger);
      const { unreadableBecause } = ledger;
      // An empty answer of a ledger that cannot be read is none.
      if (unreadableBecause !== undefined)
        throw new LedgerTrouble(`attempts wait: cannot read the ledger ${this.#path}: ${unreadableBecause}`);
      return value;
    } catch (error) {
      if (!(error instanceof NotWritten)) throw error;
      throw new LedgerTrouble(`attempts wait: cannot write the ledger ${this.#path}: ${error.message}`);
    } finally {
      ledger.close();
    }
  }
}
