import type { Claim, Loss, Offer } from "../messages/job.ts";
import type { AttemptName } from "./spool.ts";

/** The answer of the hub to a claim. `last`: the number of the message that it has; `undefined`: it does not name it. */
export type ClaimAnswer =
  | { readonly kind: "granted"; readonly seq: number }
  | { readonly kind: "refused"; readonly last: number | undefined };

/** The claims and losses on the hub. A call that fails says nothing about what the hub has done. */
export interface ClaimHub {
  /**
   * Stores a claim. `after: "none"`: if no node has claimed the attempt. A number: if this node's last claim of the attempt has
   * that number.
   */
  claim(claim: Claim, after: "none" | number): Promise<ClaimAnswer>;
  /** Returns the number of the last claim of an attempt by any node; 0: none has claimed it. The leader answers. */
  lastClaim(claim: Claim): Promise<number>;
  /** Returns this node's own claim of an attempt; a server can be a little behind. */
  readClaim(name: AttemptName): Promise<{ seq: number; claimId: string | undefined } | undefined>;
  /** Returns the loss of an attempt that this node has claimed, as it was stated; a server can be a little behind. */
  readLoss(name: AttemptName): Promise<Loss | undefined>;
  /** States a loss, unless one is stated already. */
  stateLoss(loss: Loss): Promise<void>;
  /** Puts an attempt into the queue of its pool. */
  offer(pool: string, offer: Offer): Promise<void>;
}
