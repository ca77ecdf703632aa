import { attemptId, type JobBody, jobBody, type Offer, offerMessage } from "../messages/job.ts";
import { type DocumentFault, isDocumentFault, openDocument } from "../messages/signed.ts";

/** The facts by which a node judges an offer. */
export interface OfferContext {
  /** The pool from whose queue it came. */
  readonly pool: string;
  /** The time of the hub, in ms since the epoch. The clock of a node can be wrong by years. */
  readonly hubNowMs: number;
  /** The time of this machine, by which its runner decides. */
  readonly ownNowMs: number;
  /** The keys that may sign jobs here. */
  readonly trusted: ReadonlySet<string>;
  /** Returns why this node cannot run an attempt, as far as that shows beforehand; `undefined`: it can. */
  readonly refuses: (job: JobBody, attempt: number) => string | undefined;
}

/** An attempt may be claimed by a node whose clock is behind by so much that its runner waits for this time. */
const MAX_WAIT_MS = 60_000;

/**
 * `claim`: this node may ask for it. `leave`: not this node or not now, so it stays in the queue. `discard`: no node can ever
 * accept it, and it would go round for ever. `expired`: the same, of a job with a good signature.
 */
export type OfferVerdict =
  | { readonly kind: "claim"; readonly offer: Offer; readonly job: JobBody }
  | { readonly kind: "leave"; readonly why: string; readonly notBeforeMs?: number }
  | { readonly kind: "discard"; readonly why: string }
  | { readonly kind: "expired"; readonly why: string; readonly offer: Offer; readonly job: JobBody };

/** Decides what becomes of an offer before this node says anything about it to the hub. `text`: the message as it was received. */
export function judgeOffer(text: string, context: OfferContext): OfferVerdict {
  const offer = parseOffer(text);
  if ("kind" in offer) return offer;
  const job = openDocument(offer.job, "job", jobBody, context.trusted);
  if (isDocumentFault(job)) return judgeFault(job);
  const name = attemptId(job.id, offer.attempt);
  const { pool, hubNowMs, ownNowMs } = context;
  if (job.pool !== pool)
    return { kind: "discard", why: `${name} is a job of the pool ${job.pool}, offered in ${pool}` };
  if (offer.attempt > job.attempts)
    return { kind: "discard", why: `${name} has only ${count(job.attempts, "attempt")}` };
  if (hubNowMs >= Date.parse(job.not_after))
    return { kind: "expired", why: `no node has claimed it before ${job.not_after}`, offer, job };
  const notBeforeMs = job.not_before === null ? Number.NEGATIVE_INFINITY : Date.parse(job.not_before);
  if (hubNowMs < notBeforeMs)
    return { kind: "leave", why: `${name} is not to start before ${job.not_before}`, notBeforeMs };
  // The runner has no other clock, and would refuse one attempt after the other, or let them wait.
  if (ownNowMs >= Date.parse(job.not_after) || ownNowMs + MAX_WAIT_MS < notBeforeMs)
    return {
      kind: "leave",
      why: `${name} is not for this node: its clock is ${ownNowMs > hubNowMs ? "ahead of" : "behind"} that of the hub`,
    };
  const refusal = context.refuses(job, offer.attempt);
  if (refusal !== undefined) return { kind: "leave", why: `${name} is not for this node: ${refusal}` };
  return { kind: "claim", offer, job };
}

function parseOffer(text: string): Offer | OfferVerdict {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { kind: "discard", why: "an offer is not JSON" };
  }
  const { data } = offerMessage.safeParse(json);
  if (data !== undefined) return data;
  // Another node of the pool may have a later release.
  const isLater = typeof json === "object" && json !== null && "v" in json && json.v !== 1;
  return isLater
    ? { kind: "leave", why: "an offer is of a later release" }
    : { kind: "discard", why: "a message in the queue is no offer of a job" };
}

function judgeFault({ fault, why }: DocumentFault): OfferVerdict {
  // Its signature is the same for every node. Trust, and the release, are not.
  if (fault === "forged") return { kind: "discard", why: `a job is not accepted: ${why}` };
  return { kind: "leave", why: `a job is not for this node: ${why}` };
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
