import { headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import type { Invite } from "../../../src/fleet/hub/invite.ts";
import { attemptId, jobBody, type Loss, type Offer } from "../../../src/fleet/messages/job.ts";
import { claimSubject, lossSubject, retrySubject } from "../../../src/fleet/messages/subjects.ts";
import { connectAsNode } from "./fleetHub.ts";
import { someLiveJob, someReport, someResultLine } from "./messages.ts";

/** An attempt that was offered to a node. */
export interface Taken {
  readonly offer: Offer;
  readonly id: string;
  readonly pool: string;
  readonly message: Msg;
}

/** A node as the hub sees it: it takes offers, claims them, and reports. It starts nothing. */
export class ClaimingNode {
  readonly #connection: NatsConnection;
  readonly #name: string;
  #seq = 0;

  private constructor(connection: NatsConnection, name: string) {
    this.#connection = connection;
    this.#name = name;
  }

  static async connect(invite: Invite): Promise<ClaimingNode> {
    return new ClaimingNode(await connectAsNode(invite), invite.node);
  }

  /** Takes an offer out of a queue; `undefined`: there is none. */
  async pull(pool: string, waitMs = 2000): Promise<Taken | undefined> {
    const message = await this.#connection.request(
      `$JS.API.CONSUMER.MSG.NEXT.JOBS.${pool}`,
      JSON.stringify({ batch: 1, expires: waitMs * 1e6 }),
      // An offer has the subject of the queue, by which the client's shared inbox finds no request.
      { timeout: waitMs + 3000, noMux: true },
    );
    if (message.headers?.code) return undefined;
    const offer = message.json<Offer>();
    return { offer, id: jobBody.parse(JSON.parse(offer.job.body)).id, pool, message };
  }

  /** Claims an attempt. Returns false where a node has it. */
  async claim({ offer, id }: Pick<Taken, "offer" | "id">): Promise<boolean> {
    const expected = headers();
    expected.set("Nats-Expected-Last-Subject-Sequence", "0");
    expected.set("Nats-Expected-Last-Subject-Sequence-Subject", claimSubject(id, offer.attempt, "*"));
    const claim = {
      v: 1,
      job: id,
      attempt: offer.attempt,
      node: this.#name,
      ledger_id: "l",
      at: new Date().toISOString(),
      offer: offer.job,
    };
    const answer = await this.#connection.request(
      claimSubject(id, offer.attempt, this.#name),
      JSON.stringify(claim),
      { headers: expected, timeout: 5000 },
    );
    return answer.json<{ error?: object }>().error === undefined;
  }

  acknowledge({ message }: Taken): void {
    message.respond("+ACK");
  }

  /** Takes an offer, claims it and acknowledges it, as an agent does. */
  async take(pool: string): Promise<Taken> {
    const taken = await this.pull(pool);
    if (taken === undefined) throw new Error(`the queue of ${pool} is empty`);
    if (!(await this.claim(taken))) throw new Error(`${taken.id} is claimed already`);
    this.acknowledge(taken);
    await this.#connection.flush();
    return taken;
  }

  /** Reports these attempts as running. */
  async report(running: readonly Taken[] = []): Promise<void> {
    const jobs = running.map(({ id, offer }) => someLiveJob({ job: attemptId(id, offer.attempt) }));
    this.#connection.publish(
      `ffrtmp.node.${this.#name}`,
      JSON.stringify(someReport({ node: this.#name, jobs })),
    );
    await this.#connection.flush();
  }

  /** Sends the result of an attempt. */
  async end({ id, offer }: Pick<Taken, "id" | "offer">, exitCode = 0): Promise<void> {
    const seq = ++this.#seq;
    const key = `key-of-${this.#name}-${seq}`;
    const line = someResultLine(
      seq,
      {
        jobId: attemptId(id, offer.attempt),
        labels: { fleet_job: id, fleet_attempt: String(offer.attempt) },
      },
      { ending: { kind: "exited", code: exitCode, evidence: "parent" } },
    );
    const message = {
      v: 1,
      ledger_id: `ledger-of-${this.#name}`,
      boot_id: "b",
      from: seq,
      to: seq,
      to_key: key,
      results: [{ ...line, key }],
    };
    await this.#connection.request(`ffrtmp.result.${this.#name}`, JSON.stringify(message), { timeout: 5000 });
  }

  /** States that an attempt is lost, and offers the next one. */
  async lose({ id, offer, pool }: Taken, reason: Loss["reason"] = "rebooted"): Promise<void> {
    const { attempt } = offer;
    const loss: Loss = {
      v: 1,
      job: id,
      attempt,
      node: this.#name,
      reason,
      why: "the machine was restarted",
      by: null,
      at: new Date().toISOString(),
    };
    await this.#connection.request(lossSubject(id, attempt, this.#name), JSON.stringify(loss), {
      timeout: 5000,
    });
    const next: Offer = { v: 1, attempt: attempt + 1, job: offer.job };
    await this.#connection.request(retrySubject(pool, this.#name), JSON.stringify(next), { timeout: 5000 });
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }
}
