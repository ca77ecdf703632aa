import { headers, type Msg } from "@nats-io/nats-core";
import type { ClaimAnswer, ClaimHub } from "../dispatch/claimHub.ts";
import type { AttemptName } from "../dispatch/spool.ts";
import { attemptId, type Claim, claimMessage, type Loss, lossMessage, type Offer } from "../messages/job.ts";
import { WRONG_LAST_SEQUENCE } from "../messages/storeErrors.ts";
import {
  CLAIMS,
  claimSubject,
  JOBS,
  lastInClaimsRequest,
  lastReportRequest,
  lossSubject,
  NODES,
  retrySubject,
  templateRequest,
} from "../messages/subjects.ts";
import { type Hub, isForbidden, NOT_FOUND, type PubAck, SENT_AT } from "./hub.ts";

// The agent speaks to JetStream in requests and headers, with the client's core alone. Source of the subjects and their answers:
// https://docs.nats.io/reference/reference-protocols/nats_api_reference

/** How long a request for an offer waits at the hub. The server forgets it when the connection ends. */
const PULL_WAIT_MS = 30_000;
/** The server's own answer to a request without an offer comes later than its end. */
const PULL_GRACE_MS = 5000;
/** The status of an answer to a request for an offer that has waited long enough. */
const REQUEST_TIMEOUT = 408;
/** The status of an answer to a request that reaches no stream. */
const NO_RESPONDERS = 503;
/** An offer that several nodes leave comes back to each of them after twice the time, up to the longest. */
const [FIRST_LEAVE_MS, MAX_LEAVE_MS] = [1000, 60_000];
/** How far in the future an offer that must not start yet is put off: the queue has to be read again after a restart. */
const MAX_POSTPONE_MS = 3_600_000;

/** A report is sent every minute, and with each connection. */
const RECENT_MS = 120_000;
const [REPORT_WAIT_MS, REPORT_POLL_MS] = [5000, 200];

/** An offer of the queue. It returns to the queue after 10 s unless something is said about it. */
export interface Delivery {
  readonly pool: string;
  readonly text: string;
  /** It is claimed. A request that is lost is no matter: the offer comes again, and its claim is there. */
  accept(): void;
  /** Another node may have it: at once, or at a time. */
  leave(notBefore?: { inMs: number }): void;
  /** It can be offered to no node. */
  discard(why: string): void;
}

/** The queues, the claims and the losses, over the connection of the agent. */
export class JobQueue implements ClaimHub {
  readonly #hub: Hub;
  readonly #node: string;

  constructor(hub: Hub, node: string) {
    this.#hub = hub;
    this.#node = node;
  }

  /**
   * Reads the clock of the hub, in ms since the epoch: from the time at which it stored the last report of this node, which says when
   * it was sent. Throws where there is no recent report, and sends the last one again: it was lost.
   */
  async readClock(): Promise<number> {
    const endMs = performance.now() + REPORT_WAIT_MS;
    for (;;) {
      const message = await this.#hub.request(lastReportRequest(this.#node), { stream: NODES });
      const ageMs = Date.now() - Date.parse(message.headers?.get(SENT_AT) ?? "");
      const storedMs = Date.parse(message.headers?.get("Nats-Time-Stamp") ?? "");
      // An older one was sent before the clock of this machine was set, or by an earlier boot.
      if (Math.abs(ageMs) < RECENT_MS && !Number.isNaN(storedMs)) return storedMs + ageMs;
      if (performance.now() > endMs) {
        this.#hub.repeatNode();
        throw new Error("the hub has no recent report of this node");
      }
      await Bun.sleep(REPORT_POLL_MS);
    }
  }

  /** Waits for an offer of a pool. `undefined`: none has come for a time. Throws what the connection throws. */
  async pull(pool: string): Promise<Delivery | undefined> {
    const text = JSON.stringify({ batch: 1, expires: PULL_WAIT_MS * 1e6 });
    const timeoutMs = PULL_WAIT_MS + PULL_GRACE_MS;
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${JOBS}.${pool}`;
    const message = await this.#hub.requestMessage(subject, text, timeoutMs).catch((error: unknown) => {
      throw isForbidden(error) ? new Error(closedText(pool)) : error;
    });
    const { code = 0, description } = message?.headers ?? {};
    // There was none. Others, such as 409: the queue was changed, or the server stops.
    if (message === undefined || code === NOT_FOUND || code === REQUEST_TIMEOUT) return undefined;
    if (code === NO_RESPONDERS)
      throw new Error(
        `the hub has no queue for the pool ${pool}. On the operator's machine: ffrtmp fleet setup`,
      );
    if (code !== 0) throw new Error(`the queue of the pool ${pool} gives no job: ${code} ${description}`);
    return this.#deliver(pool, message);
  }

  async lastClaim(claim: Claim): Promise<number> {
    // A claim after one that cannot exist: the refusal names the last one. A read would be answered by any server.
    const answer = await this.#claimAfter(claim, Number.MAX_SAFE_INTEGER, "*");
    if (answer.kind === "refused" && answer.last !== undefined) return answer.last;
    throw new Error(`the hub does not say who has claimed ${attemptId(claim.job, claim.attempt)}`);
  }

  async claim(claim: Claim, after: "none" | number): Promise<ClaimAnswer> {
    // Unique for an attempt, although each node writes under its own name.
    return after === "none" ? this.#claimAfter(claim, 0, "*") : this.#claimAfter(claim, after, claim.node);
  }

  #claimAfter(claim: Claim, after: number, ofNode: string): Promise<ClaimAnswer> {
    const { job, attempt, node } = claim;
    const expected = headers();
    expected.set("Nats-Expected-Stream", CLAIMS);
    expected.set("Nats-Expected-Last-Subject-Sequence", String(after));
    expected.set("Nats-Expected-Last-Subject-Sequence-Subject", claimSubject(job, attempt, ofNode));
    return this.#store(claimSubject(job, attempt, node), claim, expected);
  }

  async readClaim(name: AttemptName): Promise<{ seq: number; claimId: string | undefined } | undefined> {
    const message = await this.#readLast(claimSubject(name.job, name.attempt, this.#node));
    if (message === undefined) return undefined;
    const seq = Number(message.headers?.get("Nats-Sequence"));
    if (!Number.isSafeInteger(seq)) throw new Error("the hub does not say which number a claim has");
    return { seq, claimId: claimMessage.safeParse(message.json()).data?.claim_id };
  }

  async readLoss({ job, attempt }: AttemptName): Promise<Loss | undefined> {
    const message = await this.#readLast(lossSubject(job, attempt, this.#node));
    return lossMessage.safeParse(message?.json()).data;
  }

  /** Returns the document with a template, as it was stored; `undefined`: there is none. */
  async readTemplate(name: string): Promise<string | undefined> {
    const message = await this.#hub.request(templateRequest(name), { stream: "KV_FLEET" });
    const code = message.headers?.code ?? 0;
    if (code === NOT_FOUND) return undefined;
    if (code !== 0) throw new Error(`the hub cannot read the template ${name}: ${code}`);
    return message.string();
  }

  async stateLoss(loss: Loss): Promise<void> {
    const expected = headers();
    expected.set("Nats-Expected-Stream", CLAIMS);
    expected.set("Nats-Expected-Last-Subject-Sequence", "0");
    // Refused: it is stated already, by this node or by an operator.
    await this.#store(lossSubject(loss.job, loss.attempt, loss.node), loss, expected);
  }

  async offer(pool: string, offer: Offer): Promise<void> {
    const expected = headers();
    expected.set("Nats-Expected-Stream", JOBS);
    const { kind } = await this.#store(retrySubject(pool, this.#node), offer, expected);
    if (kind === "refused") throw new Error("the hub does not take an offer");
  }

  /** Returns the last message of a subject in CLAIMS, which any server that has the stream answers. */
  async #readLast(subject: string): Promise<Msg | undefined> {
    const message = await this.#hub.request(lastInClaimsRequest(subject), { stream: CLAIMS });
    const { code = 0, description } = message.headers ?? {};
    if (code === NOT_FOUND) return undefined;
    if (code !== 0) throw new Error(`the hub cannot read ${subject}: ${code} ${description}`);
    return message;
  }

  async #store(subject: string, content: object, expected: ReturnType<typeof headers>): Promise<ClaimAnswer> {
    const text = JSON.stringify(content);
    const stream = expected.get("Nats-Expected-Stream");
    const { seq, error } = (
      await this.#hub.request(subject, { text, headers: expected, stream })
    ).json<PubAck>();
    if (seq !== undefined && error === undefined) return { kind: "granted", seq };
    if (!WRONG_LAST_SEQUENCE.includes(error?.err_code ?? 0))
      throw new Error(`the hub does not store in ${stream}: ${error?.description} (${error?.err_code})`);
    // wrong last sequence: 17
    const [, last] = /: (\d+)$/.exec(error?.description ?? "") ?? [];
    return { kind: "refused", last: last === undefined ? undefined : Number(last) };
  }

  #deliver(pool: string, message: Msg): Delivery {
    const { reply = "" } = message;
    const say = (word: string) => this.#hub.publish(reply, word);
    return {
      pool,
      text: message.string(),
      accept: () => say("+ACK"),
      leave: (notBefore) => {
        const delayMs =
          notBefore === undefined ? leaveMs(deliveriesOf(reply)) : Math.min(notBefore.inMs, MAX_POSTPONE_MS);
        say(`-NAK ${JSON.stringify({ delay: Math.round(delayMs * 1e6) })}`);
      },
      discard: (why) => say(`+TERM ${why}`),
    };
  }
}

function closedText(pool: string): string {
  return (
    `the hub keeps the queue of the pool ${pool} closed to this node: all queues are closed while it is restored ` +
    "(ffrtmp fleet restore), or the invite of this node names other pools (ffrtmp fleet invite NODE --renew --pool POOL)"
  );
}

/** Between the half and the whole, so that the offers that a node leaves do not stay together. */
function leaveMs(deliveries: number): number {
  const waitMs = Math.min(FIRST_LEAVE_MS * 2 ** (deliveries - 1), MAX_LEAVE_MS);
  return (waitMs * (1 + Math.random())) / 2;
}

/** How often a message was delivered, this time included. */
function deliveriesOf(reply: string): number {
  // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or the same with
  // <domain>.<hash of the account> before the stream
  const tokens = reply.split(".");
  return Number(tokens[tokens.length === 9 ? 4 : 6]) || 1;
}
