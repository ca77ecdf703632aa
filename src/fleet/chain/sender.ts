import type { ResultLine } from "../messages/results.ts";
import { type Batch, nextBatch } from "./batch.ts";
import {
  advance,
  continues,
  type Diverged,
  type Head,
  type LedgerView,
  locate,
  type Position,
} from "./chain.ts";

/** The subject of one node on the hub. A call that fails says nothing about what the hub has done. */
export interface ChainHub {
  /** Returns the last message; `undefined` where there is none. */
  readHead(): Promise<Head | undefined>;
  /**
   * Stores a message if the last one has the number `after`; 0: if there is none. Returns its number in the stream; `moved`:
   * it was not stored, because another message is the last one.
   */
  append(text: string, after: number): Promise<number | "moved">;
}

/** The results of a ledger at one moment. */
export interface ResultSource extends LedgerView {
  /** Returns the results with numbers above `seq`, at most `max`. */
  after(seq: number, max: number): ResultLine[];
}

/** Calls back with the results of the ledger, read in one transaction. */
export type ReadSource = <T>(read: (source: ResultSource) => T) => T;

/**
 * `sent`: a message was stored, and more results may wait. `idle`: the hub has all. `moved`: another message is the last one,
 * which the next step reads.
 */
export type Step = { kind: "sent" | "idle" | "moved" } | Diverged;

/** Sends the results of a ledger. Holds no more than the position that it has read or reached since it was last uncertain. */
export class ResultSender {
  readonly #hub: ChainHub;
  readonly #readSource: ReadSource;
  readonly #bootId: string;
  #position: Position | undefined;
  /** Rises when the position becomes uncertain, also while an answer is awaited. */
  #epoch = 0;

  constructor(hub: ChainHub, readSource: ReadSource, bootId: string) {
    this.#hub = hub;
    this.#readSource = readSource;
    this.#bootId = bootId;
  }

  /** The last number of the ledger that the hub has confirmed; `undefined` while that is not known. */
  get sent(): number | undefined {
    return this.#position?.sent;
  }

  /** Makes the next step read the last message again. Call it after each loss of the connection: the hub may have been restored. */
  forget(): void {
    this.#position = undefined;
    this.#epoch++;
  }

  /** Sends at most one message. Throws what the hub and the ledger throw; the next step reads the last message again then. */
  async step(): Promise<Step> {
    try {
      return await this.#step();
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  async #step(): Promise<Step> {
    const epoch = this.#epoch;
    if (this.#position === undefined) {
      const head = await this.#hub.readHead();
      const found = this.#readSource((source) => locate(head, source));
      if (epoch !== this.#epoch) return { kind: "moved" };
      if (found.kind === "diverged") return found;
      this.#position = found;
    }
    const position = this.#position;
    const batch = this.#readSource((source) => this.#next(position, source));
    if (batch === "another ledger") {
      this.forget();
      return { kind: "moved" };
    }
    if (batch === undefined) return { kind: "idle" };
    const stored = await this.#hub.append(batch.text, position.after);
    if (epoch !== this.#epoch) return { kind: "moved" };
    if (stored === "moved") {
      this.forget();
      return { kind: "moved" };
    }
    this.#position = advance(position, batch, stored);
    return { kind: "sent" };
  }

  /** The file may have been replaced since the position was read. */
  #next(position: Position, source: ResultSource): Batch | undefined | "another ledger" {
    const { ledgerId, sent: to, sentKey: toKey } = position;
    if (source.ledgerId !== ledgerId || !continues({ to, toKey }, source)) return "another ledger";
    return nextBatch(position, this.#bootId, (sent, max) => source.after(sent, max));
  }
}
