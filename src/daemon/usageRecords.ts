import type { HinderedTimes } from "../jobs/model/hindered.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** The use of a job as the ledger stores it. */
interface StoredUsage {
  readonly points: Uint8Array;
  readonly hindered: HinderedTimes | undefined;
}

/** The records that wait for a ledger that cannot be written: some MB. */
const MAX_WAITING = 1000;

/** Writes what jobs have used to the ledger. A record that it does not take waits here, not with the changes of jobs. */
export class UsageRecords {
  readonly #ledger: Pick<Ledger, "recordUsageHistory">;
  /** By the key of their job. */
  readonly #unsaved = new Map<string, StoredUsage>();

  constructor(ledger: Pick<Ledger, "recordUsageHistory">) {
    this.#ledger = ledger;
  }

  /** The number of records that wait. */
  get waiting(): number {
    return this.#unsaved.size;
  }

  /** `undefined`: nothing is known of the job's use yet. */
  save({ key }: Pick<RunningJob, "key">, stored: StoredUsage | undefined): void {
    // An older one that waits must not replace this one.
    this.#unsaved.delete(key);
    if (stored === undefined || this.#write(key, stored)) return;
    if (this.#unsaved.size < MAX_WAITING) this.#unsaved.set(key, stored);
  }

  saveAgain(): void {
    for (const [key, stored] of this.#unsaved) {
      if (!this.#write(key, stored)) return;
      this.#unsaved.delete(key);
    }
  }

  #write(key: string, { points, hindered }: StoredUsage): boolean {
    return this.#ledger.recordUsageHistory({ key }, points, hindered) !== "not writable";
  }
}
