import { attemptId } from "../messages/job.ts";
import {
  type AttemptName,
  type ClaimRecord,
  isSpoolFault,
  type RunnerRecord,
  type Spool,
  type SpoolEntry,
} from "./spool.ts";
import { decideAttempt, type Locks, type StartPlan } from "./verify.ts";

/** The use of an attempt's id in the ledger. `job`: the attempt was started. `retired`: it will never be started. */
export type Fate = "job" | "retired" | "unused";

/** The ledger, which decides whether an attempt was started. Its methods throw a LedgerTrouble where it cannot be used. */
export interface AttemptLedger {
  fateOf(id: string): Fate;
  /** Makes an id unusable. Returns false where a job has it. */
  retire(id: string): boolean;
  /** Returns how many jobs of the fleet are starting or running. */
  countRunning(): number;
}

/** The ledger cannot be read or written now. Nothing is decided without it. */
export class LedgerTrouble extends Error {}

/** How `ffrtmp run` ended. `code`: its exit code; `null`: it was killed, or did not end in time, so that it may start the job yet. */
export interface RunEnd {
  readonly code: number | null;
  readonly said: string;
}

export interface RunnerOptions {
  /** The claims of the agent. The runner only reads them. */
  readonly claims: Pick<Spool<ClaimRecord>, "read" | "names">;
  /** The runner's own records. */
  readonly own: Pick<Spool<RunnerRecord>, "read" | "write" | "names" | "remove">;
  readonly locks: Locks;
  readonly ledger: AttemptLedger;
  readonly bootId: string;
  readonly nowMs: () => number;
  /** Executes `ffrtmp run --detach` with these options, and waits for the exit of that. */
  run(plan: StartPlan): Promise<RunEnd>;
  /** Writes one line for the operator. */
  log(text: string): void;
}

/** ffrtmp could not do its own part, such as write the ledger: a later try can succeed. Other codes are about the command. */
const OWN_FAILURE = 125;
const MAX_TRIES = 5;
const RETRY_MS = 2000;
/** A reason is a part of the message in which the agent states a loss, and can contain a value of any length. */
const MAX_REASON_LENGTH = 1000;

/**
 * Starts the attempts that the agent has claimed, each at most once.
 *
 * The record `starting` precedes the start, but it decides nothing: the ledger does. `run --once` starts no id twice, and an id is
 * retired there before the refusal of a signed attempt is recorded. So it does not matter at which instant a runner was killed, whether
 * two run, or whether the records are lost.
 */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #tries = new Map<string, { count: number; nextMs: number }>();
  /** The last message about each attempt and each file, so that none is repeated. */
  readonly #said = new Map<string, string>();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Looks at all claims once. Throws errors of the file system. */
  async step(): Promise<void> {
    const { claims } = this.#options;
    const names = claims.names();
    for (const name of names) {
      // One at a time: the agent may have written any number of files.
      const record = claims.read(name);
      if (isSpoolFault(record)) this.#say(nameOf(name), `${record.path} ${record.why}`);
      if (record === undefined || isSpoolFault(record) || record.state !== "mine") continue;
      try {
        await this.#settle({ ...name, record });
      } catch (error) {
        if (!(error instanceof LedgerTrouble)) throw error;
        this.#say("ledger", error.message);
        return;
      }
    }
    this.#said.delete("ledger");
    this.#removeOld(new Set(claims.names().map(nameOf)));
  }

  async #settle(entry: SpoolEntry<ClaimRecord>): Promise<void> {
    const { own, ledger, locks, bootId, nowMs } = this.#options;
    const id = nameOf(entry);
    const read = own.read(entry);
    // The ledger knows what a damaged record said.
    const before = isSpoolFault(read) ? undefined : read;
    if (before?.state === "started" || before?.state === "refused") return;
    const fate = ledger.fateOf(id);
    if (fate === "job") return this.#record(entry, "started");
    if (fate === "retired") return this.#record(entry, "refused", before?.why ?? "it was refused before");
    if (before !== undefined && before.boot_id !== bootId)
      return this.#refuse(entry, "the machine was restarted before the attempt was started");
    const decision = decideAttempt(entry, locks, nowMs());
    switch (decision.kind) {
      case "wait":
        if (decision.why !== undefined) this.#say(id, `attempt ${id} waits: ${decision.why}`);
        return;
      case "reject":
        // With a record, it was verified before, and a start by a runner that was killed can be in progress.
        if (before === undefined) return this.#reject(entry, decision.why);
        return this.#refuse(entry, decision.why);
      case "refuse":
        return this.#refuse(entry, decision.why);
    }
    if (this.#waitsForRetry(id) || ledger.countRunning() >= decision.plan.slots) return;
    if (before === undefined) this.#record(entry, "starting");
    await this.#start(entry, decision.plan);
  }

  async #start(entry: SpoolEntry<ClaimRecord>, plan: StartPlan): Promise<void> {
    const id = nameOf(entry);
    const { code, said } = await this.#options.run(plan);
    if (this.#options.ledger.fateOf(id) === "job") {
      this.#options.log(`attempt ${id} is started`);
      return this.#record(entry, "started");
    }
    const tries = (this.#tries.get(id)?.count ?? 0) + 1;
    this.#tries.set(id, { count: tries, nextMs: this.#options.nowMs() + tries * RETRY_MS });
    // A copy of ffrtmp in the background may start it yet, if the one that was waited for was killed.
    if (code === null) return this.#say(id, `attempt ${id} is tried again: ffrtmp run was ended: ${said}`);
    if (code !== OWN_FAILURE || tries >= MAX_TRIES) return this.#refuse(entry, said);
    this.#say(id, `attempt ${id} is tried again: ${said}`);
  }

  #refuse(entry: AttemptName, why: string): void {
    const id = nameOf(entry);
    // A start by a runner that was killed can be in progress.
    const isRetired = this.#options.ledger.retire(id);
    this.#record(entry, isRetired ? "refused" : "started", isRetired ? why : null);
    if (isRetired) this.#options.log(`attempt ${id} is refused: ${shortened(why)}`);
  }

  /** Refuses a claim that proves nothing. The ledger is not changed: the id can be that of a job of root's. */
  #reject(entry: AttemptName, why: string): void {
    this.#record(entry, "refused", why);
    this.#options.log(`attempt ${nameOf(entry)} is refused: ${shortened(why)}`);
  }

  #record(entry: AttemptName, state: RunnerRecord["state"], why: string | null = null): void {
    const { own, bootId, nowMs } = this.#options;
    own.write(entry, {
      v: 1,
      state,
      why: why && shortened(why),
      boot_id: bootId,
      at: new Date(nowMs()).toISOString(),
    });
    if (state !== "starting") this.#forget(nameOf(entry));
  }

  /** The clock can have been set back since the last try. */
  #waitsForRetry(id: string): boolean {
    const waitMs = (this.#tries.get(id)?.nextMs ?? 0) - this.#options.nowMs();
    return waitMs > 0 && waitMs <= MAX_TRIES * RETRY_MS;
  }

  /** Removes what the runner has recorded about attempts that the agent has settled. */
  #removeOld(claimed: ReadonlySet<string>): void {
    const { own } = this.#options;
    for (const name of own.names()) {
      if (claimed.has(nameOf(name))) continue;
      own.remove(name);
    }
    for (const id of [...this.#tries.keys(), ...this.#said.keys()]) if (!claimed.has(id)) this.#forget(id);
  }

  #forget(id: string): void {
    this.#tries.delete(id);
    this.#said.delete(id);
  }

  /** Says something once, until it changes. */
  #say(about: string, text: string): void {
    if (this.#said.get(about) === text) return;
    this.#said.set(about, text);
    this.#options.log(text);
  }
}

function nameOf({ job, attempt }: AttemptName): string {
  return attemptId(job, attempt);
}

function shortened(reason: string): string {
  return reason.length > MAX_REASON_LENGTH ? `${reason.slice(0, MAX_REASON_LENGTH)} …` : reason;
}
