import type { Acceptance } from "../dispatch/accept.ts";
import { type ClaimContext, type ClaimStores, Claims } from "../dispatch/claims.ts";
import { judgeOffer } from "../dispatch/offer.ts";
import { attemptId, type JobBody } from "../messages/job.ts";
import type { AgentDispatch, DispatchConnection } from "./dispatchOnDemand.ts";
import { FaultLog, messageOf } from "./faultLog.ts";
import type { Hub } from "./hub.ts";
import { HubClock } from "./hubClock.ts";
import { type Delivery, JobQueue } from "./jobQueue.ts";
import type { DispatchReport } from "./nodeState.ts";

/** How often the attempts of this node are looked at while there are any. */
const HELD_INTERVAL_MS = 1000;
/** The same without any: how soon root's permission, or its end, is noticed. */
const IDLE_INTERVAL_MS = 10_000;
/** How often the claims on the hub are compared although the connection was not lost: a stream can be restored beneath it. */
const COMPARE_INTERVAL_MS = 300_000;
/** Each request that waits is a subscription, and the hub allows a node 20 of them. */
const MAX_WAITING = 10;
/** The names of templates in a report, of 63 characters each. */
const MAX_TEMPLATES = 100;
/** The pause of a queue that gives an error, such as one that does not exist. */
const QUEUE_RETRY_MS = 10_000;

export interface DispatcherOptions {
  readonly stores: ClaimStores;
  readonly context: Omit<ClaimContext, "hubNow" | "log">;
  /** Returns root's permission; `undefined`: dispatch is off. Throws a Refusal where it cannot be used. */
  accept(): Acceptance | undefined;
  /** Returns why this node claims nothing now; `undefined`: it may. */
  cordon(): string | undefined;
  /** Returns why this node cannot run an attempt, as far as that shows beforehand; `undefined`: it can. */
  refuses(job: JobBody, attempt: number, acceptance: Acceptance): string | undefined;
  /**
   * Brings the template of a job from the hub, if the runner may need it. Returns why there is none; `undefined`: it is here, or
   * not needed. Absent: no template comes from the hub.
   */
  bringTemplate?(queue: JobQueue, job: JobBody, acceptance: Acceptance): Promise<string | undefined>;
  /** Returns the names of root's templates, sorted. */
  templates(): readonly string[];
  /** Changes when the ledger or a record of the runner does. */
  evidenceStamp(): string;
  log(text: string): void;
}

/** Takes offers from the queues of this node's pools, claims them for the runner, and says what became of them. */
export class Dispatcher implements AgentDispatch {
  readonly #options: DispatcherOptions;
  readonly #claims: Claims;
  readonly #clock = new HubClock();
  readonly #faults: FaultLog;
  /** The pools with a request that waits at the hub. */
  readonly #waiting = new Set<string>();
  #firstPool = 0;
  /** The pools that are not asked for a time, and why. */
  readonly #paused = new Map<string, { untilMs: number; why: string }>();
  #deliveries: Delivery[] = [];
  #wake = Promise.withResolvers<void>();
  /** The evidence by which the attempts were judged last. */
  #settled = "";
  #comparedMs = Number.NEGATIVE_INFINITY;
  #epoch = -1;
  /** Rises with each connection: an offer of an earlier one may be another node's by now. */
  #generation = 0;
  /** When the hub was last seen to have all claims of this node. */
  #confirmed: string | null = null;
  #report: DispatchReport = { capacity: null, accepts: null, dispatch: { state: "off", why: null } };

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#faults = new FaultLog(options.log);
    const context = { ...options.context, hubNow: () => this.#clock.now(), log: options.log };
    this.#claims = new Claims(context, options.stores);
  }

  /** The part of the node's report that is about dispatch. */
  get report(): DispatchReport {
    const known = this.#count((claims) => claims.known);
    return {
      ...this.#report,
      ...(known === undefined ? {} : { claims: { known, confirmed: this.#confirmed } }),
    };
  }

  /** Returns `undefined` where the records cannot be read: the agent has other work, which goes on. */
  #count(count: (claims: Claims) => number): number | undefined {
    try {
      return count(this.#claims);
    } catch {
      return undefined;
    }
  }

  /** Looks again at once: the ledger has changed, or the connection has returned or ended. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Works until `isOpen` returns false. Each failure is reported, and tried again. */
  serve(connection: DispatchConnection, hub: Hub, isOpen: () => boolean): Promise<void> {
    return this.serveQueue(connection, new JobQueue(hub, this.#options.context.node), isOpen);
  }

  /** The same with the queues alone. */
  async serveQueue(connection: DispatchConnection, queue: JobQueue, isOpen: () => boolean): Promise<void> {
    this.#epoch = -1;
    while (isOpen()) {
      this.#wake = Promise.withResolvers();
      if (connection.isConnected) {
        try {
          await this.#step(connection, queue);
        } catch (error) {
          this.#faults.report(`cannot take jobs of the fleet: ${messageOf(error)}`);
          this.#set({ state: "failing", why: messageOf(error) });
        }
      }
      await this.#pause();
    }
    this.#deliveries = [];
  }

  async #step(connection: DispatchConnection, queue: JobQueue): Promise<void> {
    const acceptance = this.#accept();
    if (acceptance === undefined && this.#claims.known === 0) return;
    const { refusal } = connection;
    if (refusal !== undefined) {
      this.#faults.report(`no job of the fleet is taken: ${refusal}`);
      this.#set({ state: "refused", why: refusal });
      return;
    }
    await this.#compare(connection, queue);
    await this.#settle(queue);
    await this.#claims.resolve(queue);
    if (acceptance === undefined) return;
    // Without a ledger, nothing can be claimed. Throws then.
    this.#options.context.ledgerId();
    const cordon = this.#options.cordon();
    await this.#takeAll(queue, acceptance, cordon);
    const free = this.#freeOf(acceptance);
    if (cordon === undefined && free > 0) await this.#pull(connection, queue, acceptance);
    if (cordon !== undefined) return this.#set({ state: "cordoned", why: cordon }, acceptance);
    const [fault] = acceptance.pools.flatMap((pool) => this.#pauseOf(pool) ?? []);
    if (fault !== undefined) return this.#set({ state: "failing", why: fault }, acceptance);
    this.#set({ state: free > 0 ? "pulling" : "full", why: null }, acceptance);
  }

  /** Returns root's permission; `undefined` where there is none that can be used, and the report says why then. */
  #accept(): Acceptance | undefined {
    try {
      const acceptance = this.#options.accept();
      if (acceptance === undefined) this.#set({ state: "off", why: null });
      return acceptance;
    } catch (error) {
      this.#faults.report(`no job of the fleet is taken: ${messageOf(error)}`);
      this.#set({ state: "refused", why: messageOf(error) });
      return undefined;
    }
  }

  /** Judges the attempts of this node, if something has changed that says what became of them. */
  async #settle(queue: JobQueue): Promise<void> {
    const evidence = `${this.#claims.names} ${this.#options.evidenceStamp()}`;
    if (evidence === this.#settled) return;
    for (const text of await this.#claims.settle(queue)) this.#faults.report(text);
    this.#settled = evidence;
  }

  /** Before the first offer of each connection: a hub that was restored must have this node's claims before it offers again. */
  async #compare({ epoch }: DispatchConnection, queue: JobQueue): Promise<void> {
    if (epoch === this.#epoch && performance.now() - this.#comparedMs < COMPARE_INTERVAL_MS) return;
    if (epoch !== this.#epoch) {
      this.#generation++;
      this.#deliveries = [];
      this.#paused.clear();
    }
    await this.#readClock(queue);
    const missing = await this.#claims.reassert(queue);
    if (missing > 0)
      this.#options.log(
        `the hub lacked ${missing} of this node's claims, and has them again: it was restored from a backup`,
      );
    await this.#claims.heed(queue);
    this.#confirmed = new Date().toISOString();
    this.#claims.forgetOld();
    if (epoch !== this.#epoch) this.#faults.clear();
    [this.#epoch, this.#comparedMs] = [epoch, performance.now()];
  }

  /** Claims of this node are its own also while the time of the hub is not known. */
  async #readClock(queue: JobQueue): Promise<void> {
    try {
      this.#clock.set(await queue.readClock());
    } catch (error) {
      this.#faults.report(`the time of the hub is not known: ${messageOf(error)}`);
    }
  }

  /** One request for each pool that has none waiting. An offer that finds no free slot any more goes back at once. */
  async #pull(connection: DispatchConnection, queue: JobQueue, { pools }: Acceptance): Promise<void> {
    if (this.#clock.now() === undefined) await this.#readClock(queue);
    // Without it, an offer could be taken out of the queue by a clock that is wrong.
    if (this.#clock.now() === undefined) return;
    // Each time from another one on: none of many pools is left out.
    this.#firstPool = (this.#firstPool + 1) % pools.length;
    for (const pool of [...pools.slice(this.#firstPool), ...pools.slice(0, this.#firstPool)]) {
      if (this.#waiting.has(pool) || this.#pauseOf(pool) !== undefined) continue;
      if (this.#waiting.size >= MAX_WAITING) break;
      this.#waiting.add(pool);
      void this.#pullOne(connection, queue, pool);
    }
  }

  async #pullOne(connection: DispatchConnection, queue: JobQueue, pool: string): Promise<void> {
    const generation = this.#generation;
    try {
      const delivery = await queue.pull(pool);
      if (delivery !== undefined && generation === this.#generation) this.#deliveries.push(delivery);
    } catch (error) {
      // The agent reports a lost connection, and asks again with the next one.
      if (generation !== this.#generation || !connection.isConnected) return;
      this.#pausePool(pool, messageOf(error));
      this.#faults.report(`no job of the pool ${pool}: ${messageOf(error)}`);
    } finally {
      this.#waiting.delete(pool);
      this.wake();
    }
  }

  async #takeAll(queue: JobQueue, acceptance: Acceptance, cordon: string | undefined): Promise<void> {
    for (
      let delivery = this.#deliveries.shift();
      delivery !== undefined;
      delivery = this.#deliveries.shift()
    ) {
      try {
        await this.#take(delivery, queue, acceptance, cordon);
      } catch (error) {
        // A node with a full disk must not ask for offer after offer, each of which is another node's only 10 s later.
        this.#pausePool(delivery.pool, messageOf(error));
        throw error;
      }
    }
  }

  async #take(
    delivery: Delivery,
    queue: JobQueue,
    acceptance: Acceptance,
    cordon: string | undefined,
  ): Promise<void> {
    const isWanted =
      cordon === undefined && this.#freeOf(acceptance) > 0 && acceptance.pools.includes(delivery.pool);
    const hubNowMs = this.#clock.now();
    if (!isWanted || hubNowMs === undefined) return delivery.leave({ inMs: 0 });
    const verdict = judgeOffer(delivery.text, {
      pool: delivery.pool,
      hubNowMs,
      ownNowMs: this.#options.context.now(),
      trusted: acceptance.trusted,
      refuses: (job, attempt) => this.#options.refuses(job, attempt, acceptance),
    });
    switch (verdict.kind) {
      case "claim": {
        const missing = await this.#options.bringTemplate?.(queue, verdict.job, acceptance);
        if (missing !== undefined) {
          this.#faults.report(missing);
          return delivery.leave();
        }
        const outcome = await this.#claims.take(queue, verdict.offer, verdict.job);
        // Without an answer, the offer comes again, to this node or to another.
        if (outcome !== "unsure") delivery.accept();
        return;
      }
      case "leave": {
        this.#faults.report(verdict.why);
        const { notBeforeMs } = verdict;
        return delivery.leave(notBeforeMs === undefined ? undefined : { inMs: notBeforeMs - hubNowMs });
      }
      case "expired": {
        const { offer, job, why } = verdict;
        const { node, now } = this.#options.context;
        const at = new Date(now()).toISOString();
        const name = { job: job.id, attempt: offer.attempt };
        await queue.stateLoss({ v: 1, ...name, node, reason: "expired", why, by: null, at });
        this.#options.log(`${attemptId(name.job, name.attempt)} is out of the queue: ${why}`);
        return delivery.discard(why);
      }
      case "discard":
        this.#options.log(`taken out of the queue of the pool ${delivery.pool}: ${verdict.why}`);
        return delivery.discard(verdict.why);
    }
  }

  #pausePool(pool: string, why: string): void {
    this.#paused.set(pool, { untilMs: performance.now() + QUEUE_RETRY_MS, why });
  }

  /** Returns why a pool is not asked now; `undefined`: it is. */
  #pauseOf(pool: string): string | undefined {
    const pause = this.#paused.get(pool);
    return pause !== undefined && performance.now() < pause.untilMs ? pause.why : undefined;
  }

  #freeOf({ slots }: Acceptance): number {
    return Math.max(0, slots - this.#claims.count);
  }

  #set(dispatch: DispatchReport["dispatch"], acceptance?: Acceptance): void {
    const capacity =
      acceptance === undefined
        ? null
        : { slots: acceptance.slots, free: this.#freeOf(acceptance), claimed: this.#claims.count };
    this.#report = { capacity, accepts: this.#describe(acceptance), dispatch };
  }

  #describe(acceptance: Acceptance | undefined): DispatchReport["accepts"] {
    if (acceptance === undefined) return null;
    const names = this.#options.templates();
    return {
      pools: [...acceptance.pools],
      templates: names.slice(0, MAX_TEMPLATES),
      more: Math.max(0, names.length - MAX_TEMPLATES),
      signed_templates: acceptance.signedTemplates,
    };
  }

  async #pause(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const isIdle = (this.#count((claims) => claims.count) ?? 0) === 0;
    const elapsed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, isIdle ? IDLE_INTERVAL_MS : HELD_INTERVAL_MS);
    });
    await Promise.race([elapsed, this.#wake.promise]);
    clearTimeout(timer);
  }
}
