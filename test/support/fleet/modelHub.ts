import type { Head } from "../../../src/fleet/chain/chain.ts";
import type { ChainHub } from "../../../src/fleet/chain/sender.ts";
import { parseMessage } from "../../../src/fleet/hub/unpack.ts";
import { chainHead, type ResultsMessage } from "../../../src/fleet/messages/results.ts";

/** What becomes of one call to the hub. `late`: it arrives after the sender has given up. */
export type Fate = "arrives" | "request lost" | "answer lost" | "late";

interface Stored {
  seq: number;
  text: string;
}

/** The subject of one node in a stream that other nodes use too, as a server keeps it, with faults on demand. */
export class ModelHub implements ChainHub {
  /** What becomes of the next call. */
  fate: Fate = "arrives";
  #lastSeq = 0;
  #stored: Stored[] = [];
  #late: (() => void)[] = [];
  #backup: { lastSeq: number; stored: Stored[] } = { lastSeq: 0, stored: [] };

  get messages(): ResultsMessage[] {
    return this.#stored.map(({ text }) => parseMessage(new TextEncoder().encode(text)) as ResultsMessage);
  }

  async readHead(): Promise<Head | undefined> {
    if (this.fate !== "arrives") throw new Error("timeout");
    const last = this.#stored.at(-1);
    if (last === undefined) return undefined;
    const { ledger_id: ledgerId, to, to_key: toKey, before } = chainHead.parse(JSON.parse(last.text));
    const marks = before.map((mark) => ({ ledgerId: mark.ledger_id, to: mark.to, toKey: mark.to_key }));
    return { streamSeq: last.seq, ledgerId, to, toKey, before: marks };
  }

  async append(text: string, after: number): Promise<number | "moved"> {
    if (this.fate === "late") this.#late.push(() => this.#store(text, after));
    if (this.fate === "late" || this.fate === "request lost") throw new Error("timeout");
    const answer = this.#store(text, after);
    if (this.fate === "answer lost") throw new Error("timeout");
    return answer;
  }

  /** Lets the calls arrive whose senders have given up. */
  deliverLate(): void {
    for (const arrive of this.#late.splice(0)) arrive();
  }

  /** Another node sends its results. */
  storeForeign(): void {
    this.#lastSeq++;
  }

  backUp(): void {
    this.#backup = { lastSeq: this.#lastSeq, stored: [...this.#stored] };
  }

  /** The server starts again with an earlier state. */
  restore(): void {
    this.#lastSeq = this.#backup.lastSeq;
    this.#stored = [...this.#backup.stored];
  }

  /** The server starts again without what it had not written to its disk. */
  loseLast(count: number): void {
    this.#stored.splice(Math.max(0, this.#stored.length - count));
    this.#lastSeq = this.#stored.at(-1)?.seq ?? 0;
  }

  #store(text: string, after: number): number | "moved" {
    if ((this.#stored.at(-1)?.seq ?? 0) !== after) return "moved";
    const seq = ++this.#lastSeq;
    this.#stored.push({ seq, text });
    return seq;
  }
}
