import { attemptId, type Claim, type JobBody, jobBody, type Loss, type Offer } from "../messages/job.ts";
import { isDocumentFault, readUnverified, type SignedDocument } from "../messages/signed.ts";
import type { ClaimHub } from "./claimHub.ts";
import {
  type AttemptName,
  type AttemptStore,
  type ClaimRecord,
  isSpoolFault,
  type RunnerRecord,
  type SettledRecord,
  type SpoolFault,
} from "./spool.ts";
import { judgeAttempt, type LedgerAttempt, type Standing } from "./standing.ts";

/** Facts of this node that need no hub. */
export interface ClaimContext {
  readonly node: string;
  readonly bootId: string;
  now(): number;
  /** Returns a new random id. */
  newId(): string;
  /** The time of the hub, in ms since the epoch; `undefined`: not known yet, and then no job is over. */
  hubNow(): number | undefined;
  /** Throws where the ledger cannot be read; then nothing is claimed and nothing is judged. */
  ledgerId(): string;
  /** Returns what the ledger has of the attempts that it knows, by their ids in the ledger. */
  readLedger(attempts: readonly (AttemptName & { id: string })[]): ReadonlyMap<string, LedgerAttempt>;
  readRunner(name: AttemptName): RunnerRecord | SpoolFault | undefined;
  log(text: string): void;
}

export interface ClaimStores {
  /** Attempts that are offered to this node, or that it has claimed, until they have ended. */
  readonly held: AttemptStore<ClaimRecord>;
  /** Attempts that have ended here, for as long as another node could claim them. */
  readonly settled: AttemptStore<SettledRecord>;
}

/** `mine`: the runner may start it. `dropped`: another node's, or over. `unsure`: the hub has not said whose it is. */
export type ClaimOutcome = "mine" | "dropped" | "unsure";

/** The owner of an attempt. `seq`: this node, by the claim of that number; `isNew`: the hub did not have it before. */
type Owner = { readonly seq: number; readonly isNew: boolean } | "foreign" | "unsure";

/** How long an offer without an answer takes a slot. The hub offers it again after 10 s, to any node. */
const RESERVED_MS = 30_000;
/** How long after `not_after` an ended attempt is remembered: the clock of a hub can be set. */
const REMEMBER_MS = 7 * 86_400_000;

/**
 * The attempts that this node has claimed or asks for, each from the offer to its end. Every step can be the last one of this
 * process: the next process reads the records and continues. An attempt that the hub has not confirmed is never `mine`.
 */
export class Claims {
  readonly #context: ClaimContext;
  readonly #stores: ClaimStores;

  constructor(context: ClaimContext, stores: ClaimStores) {
    this.#context = context;
    this.#stores = stores;
  }

  /** How many attempts take a slot. One whose record cannot be read may run. */
  get count(): number {
    const { entries, faults } = this.#stores.held.readAll();
    const sinceMs = this.#context.now() - RESERVED_MS;
    const taken = entries.filter(({ record: { state, at } }) => state === "mine" || Date.parse(at) > sinceMs);
    return taken.length + faults.length;
  }

  /** The names of these attempts. */
  get names(): string {
    return this.#stores.held
      .names()
      .map(({ job, attempt }) => attemptId(job, attempt))
      .join(" ");
  }

  /** How many attempts this node has claimed, or asks for, that have ended too. */
  get known(): number {
    return this.#stores.held.names().length + this.#stores.settled.names().length;
  }

  /** Takes an offer that this node accepts: records it, and asks the hub for the claim. */
  async take(hub: ClaimHub, offer: Offer, job: JobBody): Promise<ClaimOutcome> {
    const name = { job: job.id, attempt: offer.attempt };
    const { held, settled } = this.#stores;
    if (settled.read(name) !== undefined) return "dropped";
    const before = held.read(name);
    if (isSpoolFault(before)) return "unsure";
    if (before?.state === "mine") return "mine";
    const record = before ?? this.#newRecord(offer);
    // First on the disk: a claim that no record explains is kept for ever, and nothing runs.
    if (before === undefined) held.write(name, record);
    return this.#ask(hub, name, record);
  }

  /**
   * Finds out whose each attempt is about which the hub has not answered. It is not claimed here: only an offer of this connection
   * may be. A hub that was restored has lost claims, and offers nothing until all nodes have sent them again.
   */
  async resolve(hub: ClaimHub): Promise<void> {
    for (const { record, ...name } of this.#stores.held.readAll().entries) {
      if (record.state !== "offered") continue;
      const last = await hub.lastClaim(this.#claimOf(name, record));
      // Still in the queue, from where it comes to this node or to another. This node's request can still arrive, too.
      if (last === 0 && !this.#isOver(record)) continue;
      const owner = last === 0 ? "foreign" : await this.#findOwner(hub, name, record, last);
      this.#decide(name, record, owner);
    }
  }

  /**
   * Judges each attempt of this node. What has ended gives its slot back; what is lost is stated, and offered again where the
   * job says so. Returns the attempts that cannot be judged, each with the reason.
   */
  async settle(hub: ClaimHub): Promise<string[]> {
    const { judged, unclear } = this.#judge();
    // `reassert` concludes from the newest loss that the hub has the earlier ones: a new one must not hide that it was restored.
    if (judged.some(({ standing }) => standing.kind === "lost")) await this.reassert(hub);
    for (const { name, record, standing } of judged) {
      if (standing.kind === "unknown")
        unclear.push(
          `${attemptId(name.job, name.attempt)} has started here, and the ledger does not know it; it keeps its slot. ` +
            "If it does not run, an operator says so: ffrtmp fleet lost",
        );
      if (standing.kind === "ended") this.#close(name, record, null);
      if (standing.kind === "lost") await this.#lose(hub, name, record, standing);
    }
    return unclear;
  }

  /**
   * Gives up what an operator has stated as lost while this node was silent, as far as it has not begun here: a later attempt may run
   * elsewhere. What runs, runs on.
   */
  async heed(hub: ClaimHub): Promise<void> {
    for (const { name, record, runner, standing } of this.#judge().judged) {
      const mayGo = (standing.kind === "waiting" && runner === undefined) || standing.kind === "unknown";
      const loss = mayGo ? await hub.readLoss(name) : undefined;
      if (loss === undefined || loss.by === null) continue;
      this.#context.log(`${attemptId(name.job, name.attempt)} is given up: ${loss.by} has stated it as lost`);
      this.#close(name, record, loss);
    }
  }

  #judge() {
    const { entries, faults } = this.#stores.held.readAll();
    const mine = entries.filter(({ record }) => record.state === "mine");
    const unclear = faults.map(({ path, why }) => `${path} ${why}`);
    // The runner's records before the ledger: it writes "started" when the ledger has the job.
    const runners = mine.map((name) => this.#context.readRunner(name));
    const names = mine.map(({ job, attempt }) => ({ job, attempt, id: attemptId(job, attempt) }));
    const ledger = names.length === 0 ? new Map<string, LedgerAttempt>() : this.#context.readLedger(names);
    const judged = mine.flatMap(({ record, ...name }, index) => {
      const runner = runners[index];
      if (isSpoolFault(runner)) {
        unclear.push(`${runner.path} ${runner.why}`);
        return [];
      }
      const evidence = { runner, ledger: ledger.get(attemptId(name.job, name.attempt)) };
      const standing = judgeAttempt({ ...evidence, bootId: this.#context.bootId });
      return [{ name, record, runner, standing }];
    });
    return { judged, unclear };
  }

  /** Brings back what a hub has lost that was restored from a backup. Returns how many claims it lacked. */
  async reassert(hub: ClaimHub): Promise<number> {
    const missing = await this.#reassertClaims(hub);
    await this.#restateLosses(hub);
    return missing;
  }

  /** The stream of claims only grows, so the hub has all claims of this node if it has the last one, with its number. */
  async #reassertClaims(hub: ClaimHub): Promise<number> {
    const all = this.#confirmed();
    const [newest] = all;
    if (newest === undefined) return 0;
    if ((await hub.readClaim(newest))?.seq === newest.record.claim_seq) return 0;
    let missing = 0;
    // The oldest first: the last one is the one that is looked at the next time.
    for (const { record, ...name } of all.toReversed()) {
      const answer = await this.#assertOne(hub, name, record);
      if (answer?.isNew) missing++;
      this.#renumber(name, record, answer?.seq ?? null);
    }
    return missing;
  }

  /**
   * The backup can be of a time between a claim and its loss. What another node has meanwhile claimed is not stated as lost, and
   * what an operator has stated again is not changed.
   */
  async #restateLosses(hub: ClaimHub): Promise<void> {
    const lost = this.#stores.settled
      .readAll()
      .entries.flatMap(({ record, ...name }) =>
        record.loss === null || record.claim_seq === null ? [] : [{ name, record, loss: record.loss }],
      )
      .sort((a, b) => Date.parse(a.loss.at) - Date.parse(b.loss.at));
    const newest = lost.at(-1);
    if (newest === undefined || (await hub.readLoss(newest.name)) !== undefined) return;
    for (const { name, record, loss } of lost)
      if ((await hub.readLoss(name)) === undefined) await this.#announceLoss(hub, name, record, loss);
  }

  /** Forgets what has ended so long ago that no hub can offer it any more. */
  forgetOld(): void {
    const nowMs = this.#context.hubNow();
    if (nowMs === undefined) return;
    for (const { record, ...name } of this.#stores.settled.readAll().entries) {
      const job = bodyOf(record);
      if (job !== undefined && nowMs > Date.parse(job.not_after) + REMEMBER_MS)
        this.#stores.settled.remove(name);
    }
  }

  async #ask(hub: ClaimHub, name: AttemptName, record: ClaimRecord): Promise<ClaimOutcome> {
    return this.#decide(name, record, await this.#claim(hub, name, record));
  }

  #decide(name: AttemptName, record: ClaimRecord, owner: Owner): ClaimOutcome {
    if (owner === "unsure") return "unsure";
    if (owner === "foreign") {
      this.#stores.held.remove(name);
      return "dropped";
    }
    this.#own(name, record, owner.seq);
    return "mine";
  }

  async #claim(hub: ClaimHub, name: AttemptName, record: ClaimRecord | SettledRecord): Promise<Owner> {
    const answer = await hub.claim(this.#claimOf(name, record), "none");
    if (answer.kind === "granted") return { seq: answer.seq, isNew: true };
    return this.#findOwner(hub, name, record, answer.last);
  }

  /** The answer to an earlier request may have been lost. `last`: the claim that is in the way of another one. */
  async #findOwner(
    hub: ClaimHub,
    name: AttemptName,
    record: ClaimRecord | SettledRecord,
    last: number | undefined,
  ): Promise<Owner> {
    const own = await hub.readClaim(name);
    if (own !== undefined) {
      if (own.claimId === record.claim_id) return { seq: own.seq, isNew: false };
      this.#context.log(
        `${attemptId(name.job, name.attempt)} is claimed by this node, and its records here do not know of it: ` +
          "they were lost, or the machine was cloned. It is not started. If it runs nowhere, an operator says so: ffrtmp fleet lost",
      );
      return "foreign";
    }
    if (last === undefined) return "unsure";
    // The server that has answered the read can be behind the one that refused. Only a claim of our own has this number.
    const confirmed = await hub.claim(this.#claimOf(name, record), last);
    return confirmed.kind === "granted" ? { seq: confirmed.seq, isNew: false } : "foreign";
  }

  #own(name: AttemptName, record: ClaimRecord, seq: number): void {
    this.#stores.held.write(name, { ...record, state: "mine", claim_seq: seq, ...this.#stamp() });
    this.#context.log(`claimed ${attemptId(name.job, name.attempt)}`);
  }

  /** Each step can be repeated: a loss is stored once, and a second offer of an attempt finds it claimed. */
  async #lose(
    hub: ClaimHub,
    name: AttemptName,
    record: ClaimRecord,
    { reason, why }: Standing & { kind: "lost" },
  ): Promise<void> {
    const { node, now } = this.#context;
    const loss: Loss = { v: 1, ...name, node, reason, why, by: null, at: new Date(now()).toISOString() };
    await this.#announceLoss(hub, name, record, loss);
    this.#close(name, record, loss);
  }

  async #announceLoss(hub: ClaimHub, name: AttemptName, record: { job: SignedDocument }, loss: Loss) {
    await hub.stateLoss(loss);
    const job = bodyOf(record);
    const next = name.attempt + 1;
    const isAgain = job?.rerun === "if_lost" && next <= job.attempts && !this.#isOver(record);
    if (isAgain) await hub.offer(job.pool, { v: 1, attempt: next, job: record.job });
    const id = attemptId(name.job, name.attempt);
    const further = isAgain ? `offered again as ${attemptId(name.job, next)}` : "not offered again";
    this.#context.log(`${id} is lost (${loss.reason}: ${loss.why}); ${further}`);
  }

  /** Remembers an attempt as ended, then gives its slot back. */
  #close(name: AttemptName, record: ClaimRecord, loss: Loss | null): void {
    this.#stores.settled.write(name, { ...record, state: "settled", loss, ...this.#stamp() });
    this.#stores.held.remove(name);
  }

  async #assertOne(
    hub: ClaimHub,
    name: AttemptName,
    record: ClaimRecord | SettledRecord,
  ): Promise<Exclude<Owner, string> | undefined> {
    const answer = await this.#claim(hub, name, record);
    const id = attemptId(name.job, name.attempt);
    if (answer === "unsure") throw new Error(`the hub does not say who has claimed ${id}`);
    if (answer === "foreign") {
      this.#context.log(
        `${id} is this node's, and the hub has meanwhile given it to another node, where it may run a second time. ` +
          "Was the hub restored from a backup without ffrtmp fleet restore?",
      );
      return undefined;
    }
    return answer;
  }

  #renumber(name: AttemptName, record: ClaimRecord | SettledRecord, seq: number | null): void {
    if (record.claim_seq === seq) return;
    if (record.state === "settled") this.#stores.settled.write(name, { ...record, claim_seq: seq });
    else this.#stores.held.write(name, { ...record, claim_seq: seq });
  }

  /** Returns the attempts of this node whose claims have numbers, the newest claim first. */
  #confirmed() {
    const { held, settled } = this.#stores;
    const all = [...held.readAll().entries, ...settled.readAll().entries];
    return all
      .filter(({ record }) => record.claim_seq !== null)
      .sort((a, b) => Number(b.record.claim_seq) - Number(a.record.claim_seq));
  }

  #claimOf({ job, attempt }: AttemptName, record: ClaimRecord | SettledRecord): Claim {
    const { node } = this.#context;
    const { claim_id, job: offer } = record;
    const { at } = this.#stamp();
    return { v: 1, job, attempt, node, ledger_id: this.#context.ledgerId(), claim_id, at, offer };
  }

  #newRecord({ attempt, job }: Offer): ClaimRecord {
    const claimId = this.#context.newId();
    return { v: 1, state: "offered", attempt, job, claim_id: claimId, claim_seq: null, ...this.#stamp() };
  }

  #stamp(): { boot_id: string; at: string } {
    return { boot_id: this.#context.bootId, at: new Date(this.#context.now()).toISOString() };
  }

  #isOver(record: { job: SignedDocument }): boolean {
    const job = bodyOf(record);
    const nowMs = this.#context.hubNow();
    return job !== undefined && nowMs !== undefined && nowMs >= Date.parse(job.not_after);
  }
}

/** The signature was verified before the job was recorded. */
function bodyOf({ job }: { job: SignedDocument }): JobBody | undefined {
  const body = readUnverified(job, jobBody);
  return isDocumentFault(body) ? undefined : body;
}
