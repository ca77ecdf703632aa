import type { ClaimAnswer, ClaimHub } from "../../../src/fleet/dispatch/claimHub.ts";
import { type ClaimContext, Claims } from "../../../src/fleet/dispatch/claims.ts";
import type {
  AttemptName,
  AttemptStore,
  ClaimRecord,
  RunnerRecord,
  SettledRecord,
} from "../../../src/fleet/dispatch/spool.ts";
import type { LedgerAttempt } from "../../../src/fleet/dispatch/standing.ts";
import {
  attemptId,
  type Claim,
  type JobBody,
  jobBody,
  type Loss,
  type Offer,
} from "../../../src/fleet/messages/job.ts";

/**
 * What becomes of one call to the hub. `late`: it arrives after the sender has given up. `killed`: the sender dies with it.
 * `unnumbered`: a refusal does not say what is in the way, as that of a server with claims that are not stored yet.
 */
export type Fate =
  | "arrives"
  | "request lost"
  | "answer lost"
  | "late"
  | "killed before"
  | "killed after"
  | "unnumbered";

/** Ids are as unique as random ones, also those of two clones. */
let ids = 0;

class Killed extends Error {}

interface Stored {
  seq: number;
  subject: string;
  /** The attempt that all claims of it have in common. */
  attempt: string;
  claimId: string | undefined;
}

interface HubState {
  lastSeq: number;
  claims: Stored[];
  losses: Map<string, Loss>;
  queue: Offer[];
}

/** The streams of a hub, which deliver an offer to any node at any time, as after the end of an acknowledgement's time. */
export class ModelDispatchHub {
  state: HubState = { lastSeq: 0, claims: [], losses: new Map(), queue: [] };
  #backup = structuredClone(this.state);
  #late: (() => void)[] = [];

  backUp(): void {
    this.#backup = structuredClone(this.state);
  }

  /** The server starts again with an earlier state. */
  restore(): void {
    this.state = structuredClone(this.#backup);
    // Their connections have ended.
    this.#late = [];
  }

  /** Lets the calls arrive whose senders have given up. */
  deliverLate(): void {
    for (const arrive of this.#late.splice(0)) arrive();
  }

  /** Returns the connection of a node, on which the next call has a fate. */
  connect(node: string, nextFate: () => Fate): ClaimHub {
    const call = async <T>(act: (fate: Fate) => T): Promise<T> => {
      const fate = nextFate();
      if (fate === "killed before") throw new Killed();
      if (fate === "late") this.#late.push(() => act(fate));
      if (fate === "late" || fate === "request lost") throw new Error("timeout");
      const answer = act(fate);
      if (fate === "killed after") throw new Killed();
      if (fate === "answer lost") throw new Error("timeout");
      return answer;
    };
    return {
      claim: (claim, after) =>
        call((fate) => {
          const answer = this.#claim(claim, after);
          return fate === "unnumbered" && answer.kind === "refused" ? { ...answer, last: undefined } : answer;
        }),
      lastClaim: ({ job, attempt }) =>
        call(() => this.state.claims.findLast((each) => each.attempt === attemptId(job, attempt))?.seq ?? 0),
      readClaim: (name) =>
        call(() => {
          const found = this.#last(`${attemptId(name.job, name.attempt)}.${node}`);
          return found && { seq: found.seq, claimId: found.claimId };
        }),
      readLoss: ({ job, attempt }) => call(() => this.state.losses.get(attemptId(job, attempt))),
      stateLoss: (loss) =>
        call(() => {
          const id = attemptId(loss.job, loss.attempt);
          if (!this.state.losses.has(id)) this.state.losses.set(id, loss);
        }),
      offer: (_, offer) => call(() => void this.state.queue.push(offer)),
    };
  }

  #claim({ job, attempt, node, claim_id: claimId }: Claim, after: "none" | number): ClaimAnswer {
    const id = attemptId(job, attempt);
    const subject = `${id}.${node}`;
    const { claims } = this.state;
    const last = (after === "none" ? claims.findLast((each) => each.attempt === id) : this.#last(subject))
      ?.seq;
    if ((last ?? 0) !== (after === "none" ? 0 : after)) return { kind: "refused", last: last ?? 0 };
    const seq = ++this.state.lastSeq;
    claims.push({ seq, subject, attempt: id, claimId });
    return { kind: "granted", seq };
  }

  #last(subject: string): Stored | undefined {
    return this.state.claims.findLast((each) => each.subject === subject);
  }
}

/** Records in memory. Each write can be the last act of the program: before it, or after it. */
class MemoryStore<T> implements AttemptStore<T> {
  readonly records = new Map<string, { name: AttemptName; record: T }>();
  readonly #mayDie: () => void;

  constructor(mayDie: () => void) {
    this.#mayDie = mayDie;
  }

  names(): AttemptName[] {
    return [...this.records.values()].map(({ name }) => name);
  }

  readAll() {
    const entries = [...this.records.values()].map(({ name, record }) => ({ ...name, record }));
    return { entries, faults: [] };
  }

  read({ job, attempt }: AttemptName): T | undefined {
    return this.records.get(attemptId(job, attempt))?.record;
  }

  write({ job, attempt }: AttemptName, record: T): void {
    this.#mayDie();
    this.records.set(attemptId(job, attempt), { name: { job, attempt }, record });
    this.#mayDie();
  }

  remove({ job, attempt }: AttemptName): void {
    this.#mayDie();
    this.records.delete(attemptId(job, attempt));
    this.#mayDie();
  }
}

/** A node: what stays on its disk, and programs that can be killed at each of their acts. */
export class ModelNode {
  readonly name: string;
  readonly hub: ModelDispatchHub;
  readonly held: MemoryStore<ClaimRecord>;
  readonly settled: MemoryStore<SettledRecord>;
  readonly ledger = new Map<string, LedgerAttempt>();
  readonly runner = new Map<string, RunnerRecord>();
  /** The attempts whose workloads were started, in their order. */
  readonly starts: string[] = [];
  /** What becomes of the next calls, and after how many acts on the disk the agent is killed. */
  fates: Fate[] = [];
  actsUntilDeath = Number.POSITIVE_INFINITY;
  /** The hub was restored, and this agent has not looked at its claims since. */
  mustReassert = false;
  hubMs: number | undefined = Date.parse("2026-11-28T00:00:00.000Z");
  #boot = 1;

  constructor(hub: ModelDispatchHub, name: string) {
    this.hub = hub;
    this.name = name;
    const mayDie = () => {
      if (this.actsUntilDeath-- <= 0) throw new Killed();
    };
    this.held = new MemoryStore(mayDie);
    this.settled = new MemoryStore(mayDie);
  }

  /** Lets the agent act. Its death or a failed call ends the act, and the next one begins with what is on the disk. */
  async act<T>(run: (claims: Claims, hub: ClaimHub) => Promise<T>): Promise<T | undefined> {
    const claims = new Claims(this.#context(), { held: this.held, settled: this.settled });
    const hub = this.hub.connect(this.name, () => this.fates.shift() ?? "arrives");
    try {
      return await run(claims, hub);
    } catch (error) {
      if (error instanceof Killed || (error as Error).message === "timeout") return undefined;
      throw error;
    } finally {
      this.fates = [];
      this.actsUntilDeath = Number.POSITIVE_INFINITY;
    }
  }

  /** The agent receives an offer of the queue. `isAcknowledged`: the hub learns that it was taken. */
  async receive(offer: Offer, isAcknowledged: boolean): Promise<void> {
    const job = jobBody.parse(JSON.parse(offer.job.body)) as JobBody;
    const outcome = await this.act((claims, hub) => claims.take(hub, offer, job));
    if (!isAcknowledged || outcome === undefined || outcome === "unsure") return;
    const { queue } = this.hub.state;
    const index = queue.indexOf(offer);
    if (index >= 0) queue.splice(index, 1);
  }

  /** The runner starts what is this node's, each once: the ledger decides. */
  run(): void {
    for (const { record, ...name } of this.held.readAll().entries) {
      const id = attemptId(name.job, name.attempt);
      if (record.state !== "mine" || this.runner.get(id)?.state === "refused") continue;
      if (!this.ledger.has(id)) {
        this.starts.push(id);
        this.ledger.set(id, { state: "open", bootId: this.bootId });
      }
      this.#report(id, "started", null);
    }
  }

  /** The runner refuses what it has not started. */
  refuse(): void {
    for (const { record, ...name } of this.held.readAll().entries) {
      const id = attemptId(name.job, name.attempt);
      if (record.state === "mine" && !this.ledger.has(id)) this.#report(id, "refused", "no");
    }
  }

  /** Each workload ends that runs. */
  end(ending: (LedgerAttempt & { state: "ended" })["ending"]): void {
    for (const [id, attempt] of this.ledger)
      if (attempt.state === "open" && attempt.bootId === this.bootId)
        this.ledger.set(id, { state: "ended", ending });
  }

  reboot(): void {
    this.#boot++;
  }

  get bootId(): string {
    return `boot-${this.#boot}`;
  }

  #report(id: string, state: RunnerRecord["state"], why: string | null): void {
    this.runner.set(id, { v: 1, state, why, boot_id: this.bootId, at: "2026-11-28T00:00:00.000Z" });
  }

  #context(): ClaimContext {
    return {
      node: this.name,
      bootId: this.bootId,
      now: () => Date.parse("2026-11-28T00:00:00.000Z"),
      hubNow: () => this.hubMs,
      newId: () => `id-${++ids}`,
      ledgerId: () => `ledger-of-${this.name}`,
      readLedger: () => this.ledger,
      readRunner: (name) => this.runner.get(attemptId(name.job, name.attempt)),
      log: () => {},
    };
  }
}
