import { desiredSubject, policySubject } from "../messages/subjects.ts";
import type { DocumentKeeper } from "./documentKeeper.ts";
import { messageOf } from "./faultLog.ts";

/** The part of the hub that has the signed documents. */
export interface DocumentHub {
  /** `false` after its end, and while the connection is lost: all is read again when it returns. */
  readonly isConnected: boolean;
  /** Returns the last document at a subject; `undefined`: there is none. */
  readDocument(subject: string): Promise<HubDocument | undefined>;
  /**
   * Calls back with the subject and the number of each document that is stored from now on, as long as the connection lasts.
   * `subjects`: those of the documents.
   */
  followDocuments(subjects: readonly string[], onStored: (subject: string, seq: number) => void): void;
}

/** A document as the hub has it, and its number in the stream. */
export interface HubDocument {
  readonly bytes: Uint8Array;
  readonly seq: number;
}

/** How long a server of the hub can take to have what another one has stored. Any of them answers. */
const COPY_WAITS_MS = [0, 100, 500, 2000, 10_000];

/** The numbers of the documents that were read, by their subjects. */
type Read = Map<string, number>;

export interface FollowerEvents {
  /** The wishes of the operator for this node may have changed. */
  changed(): void;
  fault(text: string): void;
}

/**
 * Brings the documents about this node from the hub to its disk. The hub does not say whether a message was lost, so all are
 * read again after each connection, and at intervals.
 */
export class DocumentFollower {
  readonly #node: string;
  readonly #hub: DocumentHub;
  readonly #keeper: DocumentKeeper;
  readonly #on: FollowerEvents;
  /** One reading at a time, or an older answer could be placed last. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(node: string, hub: DocumentHub, keeper: DocumentKeeper, on: FollowerEvents) {
    this.#node = node;
    this.#hub = hub;
    this.#keeper = keeper;
    this.#on = on;
  }

  /** Subscribes before it reads, so that no document falls between. */
  start(): void {
    // Every ring: the operator can move the node to another one.
    this.#hub.followDocuments([desiredSubject(this.#node), policySubject("*")], (subject, seq) => {
      const isMine = subject === desiredSubject(this.#node) || subject === policySubject(this.#keeper.ring);
      if (isMine) void this.#readFrom(subject, seq);
    });
    this.refresh();
  }

  refresh(): void {
    void this.#read();
  }

  /** Reads until the answer is from a server that has the document with this number, or a later one. */
  async #readFrom(subject: string, seq: number): Promise<void> {
    for (const waitMs of COPY_WAITS_MS) {
      await Bun.sleep(waitMs);
      const read = await this.#read();
      if (read === undefined || (read.get(subject) ?? 0) >= seq) return;
    }
  }

  /** Returns what the hub has; `undefined` where it could not be read. */
  #read(): Promise<Read | undefined> {
    const reading = this.#reading.then(() =>
      this.#readAll().catch((error) => {
        // The end of the connection is reported by who notices it, and is no fault where the agent itself ends.
        if (this.#hub.isConnected) this.#on.fault(faultOf(error));
        return undefined;
      }),
    );
    this.#reading = reading;
    return reading;
  }

  async #readAll(): Promise<Read> {
    const read: Read = new Map();
    const readOne = async (subject: string, use: (bytes: Uint8Array) => string | undefined) => {
      const document = await this.#hub.readDocument(subject);
      if (document === undefined) return;
      read.set(subject, document.seq);
      this.#report(use(document.bytes));
    };
    await readOne(desiredSubject(this.#node), (bytes) => this.#keeper.keepDesired(bytes));
    // Of the ring that the document before may have named.
    await readOne(policySubject(this.#keeper.ring), (bytes) => this.#keeper.placePolicy(bytes));
    this.#on.changed();
    return read;
  }

  #report(fault: string | undefined): void {
    if (fault !== undefined) this.#on.fault(fault);
  }
}

function faultOf(error: unknown): string {
  return `cannot read the documents of the fleet: ${messageOf(error)}`;
}
