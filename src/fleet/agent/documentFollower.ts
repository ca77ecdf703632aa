import { desiredSubject, policySubject } from "../messages/subjects.ts";
import type { DocumentKeeper } from "./documentKeeper.ts";

/** The part of the hub that has the signed documents. */
export interface DocumentHub {
  /** Returns the last document at a subject; `undefined`: there is none. */
  readDocument(subject: string): Promise<Uint8Array | undefined>;
  /** Calls back with each document that is stored from now on, as long as the connection lasts. */
  followDocuments(
    subjects: readonly string[],
    onDocument: (subject: string, bytes: Uint8Array) => void,
  ): void;
}

export interface FollowerEvents {
  /** What is wanted of this node may be another thing now. */
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
  #reading: Promise<void> = Promise.resolve();

  constructor(node: string, hub: DocumentHub, keeper: DocumentKeeper, on: FollowerEvents) {
    this.#node = node;
    this.#hub = hub;
    this.#keeper = keeper;
    this.#on = on;
  }

  /** Subscribes before it reads, so that no document falls between. */
  start(): void {
    // Every ring: the operator can move the node to another one.
    this.#hub.followDocuments([desiredSubject(this.#node), policySubject("*")], (subject) => {
      const isMine = subject === desiredSubject(this.#node) || subject === policySubject(this.#keeper.ring);
      if (isMine) this.refresh();
    });
    this.refresh();
  }

  refresh(): void {
    this.#reading = this.#reading
      .then(() => this.#readAll())
      .catch((error) => this.#on.fault(messageOf(error)));
  }

  async #readAll(): Promise<void> {
    const desired = await this.#hub.readDocument(desiredSubject(this.#node));
    this.#report(desired === undefined ? undefined : this.#keeper.keepDesired(desired));
    const policy = await this.#hub.readDocument(policySubject(this.#keeper.ring));
    this.#report(policy === undefined ? undefined : this.#keeper.placePolicy(policy));
    this.#on.changed();
  }

  #report(fault: string | undefined): void {
    if (fault !== undefined) this.#on.fault(fault);
  }
}

function messageOf(error: unknown): string {
  return `cannot read the documents of the fleet: ${error instanceof Error ? error.message : String(error)}`;
}
