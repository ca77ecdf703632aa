import { afterEach, describe, expect, it } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { POOL, signedOffer } from "../../../test/support/fleet/offers.ts";
import { until } from "../../../test/support/sandbox.ts";
import type { Acceptance } from "../dispatch/accept.ts";
import { claimRecord, type RunnerRecord, Spool, settledRecord } from "../dispatch/spool.ts";
import { createSigningKey } from "../keys/signingKey.ts";
import type { Claim, JobBody, Loss, Offer } from "../messages/job.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import type { Delivery, JobQueue } from "./jobQueue.ts";

const KEY = createSigningKey();
const ACCEPTANCE: Acceptance = {
  pools: [POOL],
  slots: 2,
  as: "transcode",
  trusted: new Set([KEY.publicKey]),
  signedTemplates: false,
};

/** A hub with one queue, which gives each offer once. */
class FakeQueue {
  readonly said: string[] = [];
  readonly claims: Claim[] = [];
  readonly losses: Loss[] = [];
  readonly pulls: string[] = [];
  /** The first requests of a connection, in their order. */
  readonly calls: string[] = [];
  readonly #offers: string[] = [];
  #waiting: ((text: string) => void)[] = [];

  add(offer: Offer | string): void {
    const text = typeof offer === "string" ? offer : JSON.stringify(offer);
    const give = this.#waiting.shift();
    if (give === undefined) this.#offers.push(text);
    else give(text);
  }

  readClock = async () => {
    this.calls.push("clock");
    return Date.now();
  };
  readClaim = async ({ job }: { job: string }) => {
    this.calls.push(`claim of ${job}`);
    return undefined;
  };
  lastClaim = async () => 0;
  readLoss = async () => undefined;
  stateLoss = async (loss: Loss) => void this.losses.push(loss);
  offer = async () => {};

  claim = async (claim: Claim) => {
    this.calls.push(`asserts ${claim.job}`);
    this.claims.push(claim);
    return { kind: "granted" as const, seq: this.claims.length };
  };

  pull = async (pool: string): Promise<Delivery> => {
    if (pool === "typo") throw new Error("the hub has no queue for the pool typo");
    this.pulls.push(pool);
    this.calls.push("pull");
    const text =
      this.#offers.shift() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)));
    return {
      pool,
      text,
      accept: () => this.said.push("accept"),
      leave: (notBefore) =>
        this.said.push(
          notBefore === undefined ? "leave" : `leave for ${Math.round(notBefore.inMs / 1000)} s`,
        ),
      discard: (why) => this.said.push(`discard: ${why}`),
    };
  };
}

let stop = () => {};
let ended: Promise<unknown> = Promise.resolve();
const directories: string[] = [];
afterEach(async () => {
  stop();
  await ended;
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function serve(
  options: Partial<DispatcherOptions> = {},
  connection: { epoch?: number; refusal?: string } = {},
) {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-dispatcher-"));
  directories.push(directory);
  const stores = {
    held: new Spool(join(directory, "claims"), claimRecord),
    settled: new Spool(join(directory, "claims", "settled"), settledRecord),
  };
  const runner = new Map<string, RunnerRecord>();
  const lines: string[] = [];
  const dispatcher = new Dispatcher({
    stores,
    context: {
      node: "edge-1",
      bootId: "boot-1",
      now: () => Date.now(),
      newId: () => crypto.randomUUID(),
      ledgerId: () => "ledger-1",
      readLedger: () => new Map(),
      readRunner: ({ job }) => runner.get(job),
    },
    accept: () => ACCEPTANCE,
    cordon: () => undefined,
    refuses: () => undefined,
    templates: () => ["sleep", "thumb"],
    evidenceStamp: () => String(runner.size),
    log: (line) => lines.push(line),
    ...options,
  });
  const queue = new FakeQueue();
  let isOpen = true;
  stop = () => {
    isOpen = false;
    dispatcher.wake();
  };
  const live = { isConnected: true, epoch: 0, refusal: undefined as string | undefined, ...connection };
  ended = dispatcher.serveQueue(live, queue as unknown as JobQueue, () => isOpen);
  return { dispatcher, queue, stores, runner, lines, live };
}

const offer = (id: string, different: Partial<JobBody> = {}) => signedOffer(KEY, id, different);
const reach = (dispatcher: Dispatcher, state: string) =>
  until(`the dispatcher is ${state}`, () => dispatcher.report.dispatch?.state === state);

describe("a dispatcher", () => {
  it("claims while slots are free, and asks for nothing more when they are not", async () => {
    const { dispatcher, queue, stores } = serve();
    for (const id of ["job-1", "job-2", "job-3"]) queue.add(offer(id));
    await reach(dispatcher, "full");
    expect(queue.claims.map(({ job, attempt, node, ledger_id }) => [job, attempt, node, ledger_id])).toEqual([
      ["job-1", 1, "edge-1", "ledger-1"],
      ["job-2", 1, "edge-1", "ledger-1"],
    ]);
    expect([queue.said, queue.pulls.length]).toEqual([["accept", "accept"], 2]);
    expect(dispatcher.report.capacity).toEqual({ slots: 2, free: 0, claimed: 2 });
    expect(stores.held.readAll().entries.map(({ record }) => record.state)).toEqual(["mine", "mine"]);
  });

  it("gives the slot back of an attempt that the runner refuses, and states its loss", async () => {
    const { dispatcher, queue, stores, runner } = serve({ accept: () => ({ ...ACCEPTANCE, slots: 1 }) });
    queue.add(offer("job-1"));
    await reach(dispatcher, "full");
    const at = new Date().toISOString();
    runner.set("job-1", { v: 1, state: "refused", why: "no such input", boot_id: "boot-1", at });
    dispatcher.wake();
    await reach(dispatcher, "pulling");
    expect(queue.losses).toMatchObject([
      { job: "job-1", attempt: 1, reason: "refused", why: "no such input" },
    ]);
    expect(stores.settled.names()).toEqual([{ job: "job-1", attempt: 1 }]);
  });

  it("says so where its records cannot be read, and works again when they can", async () => {
    const { dispatcher, stores } = serve();
    await reach(dispatcher, "pulling");
    rmSync(stores.held.directory, { recursive: true, force: true });
    writeFileSync(stores.held.directory, "");
    dispatcher.wake();
    await reach(dispatcher, "failing");
    expect(dispatcher.report).toMatchObject({
      capacity: null,
      dispatch: { why: expect.stringContaining("ENOTDIR") },
    });
    expect(dispatcher.report.claims).toBeUndefined();
    rmSync(stores.held.directory);
    dispatcher.wake();
    await reach(dispatcher, "pulling");
  });

  it("leaves what arrives while the node is cordoned, and asks for no more", async () => {
    let cordon: string | undefined;
    const { dispatcher, queue } = serve({ cordon: () => cordon });
    await until("it waits for an offer", () => queue.pulls.length === 1);
    cordon = "disk is being replaced (by root)";
    queue.add(offer("job-1"));
    await reach(dispatcher, "cordoned");
    expect(dispatcher.report.dispatch?.why).toBe(cordon);
    expect([queue.said, queue.claims, queue.pulls.length]).toEqual([["leave for 0 s"], [], 1]);
  });

  it("takes out of the queue what no node can accept, and states that a job has expired", async () => {
    const { dispatcher, queue, lines } = serve();
    queue.add("{");
    queue.add(offer("job-1", { not_after: "2020-01-01T00:00:00.000Z" }));
    await until("both are said", () => queue.said.length === 2);
    expect(queue.said).toEqual([
      "discard: an offer is not JSON",
      "discard: no node has claimed it before 2020-01-01T00:00:00.000Z",
    ]);
    expect(queue.losses).toMatchObject([{ job: "job-1", node: "edge-1", reason: "expired", by: null }]);
    expect(lines).toContain("taken out of the queue of the pool live: an offer is not JSON");
    expect(dispatcher.report.capacity?.free).toBe(2);
  });

  it("leaves what this node cannot run, and says why once", async () => {
    const { queue, lines } = serve({ refuses: () => "there is no template sleep" });
    queue.add(offer("job-1"));
    queue.add(offer("job-1"));
    queue.add(offer("job-2", { not_before: new Date(Date.now() + 60_000).toISOString() }));
    await until("all are left", () => queue.said.length === 3);
    expect(queue.said).toEqual(["leave", "leave", "leave for 60 s"]);
    expect(lines.filter((line) => line.includes("no template"))).toEqual([
      "job-1.1 is not for this node: there is no template sleep",
    ]);
  });

  it("compares its claims before the first request of each connection, and brings back what the hub lacks", async () => {
    const { dispatcher, queue, runner, live, lines } = serve();
    queue.add(offer("job-1"));
    await until("it is claimed", () => queue.said.length === 1);
    const at = new Date().toISOString();
    runner.set("job-1", { v: 1, state: "refused", why: "no such input", boot_id: "boot-1", at });
    dispatcher.wake();
    await until("it is settled", () => queue.losses.length === 1);
    queue.calls.length = 0;
    live.epoch++;
    dispatcher.wake();
    queue.add("{");
    await until("it asks again", () => queue.calls.includes("pull"));
    expect(queue.calls).toEqual(["clock", "claim of job-1", "asserts job-1", "pull"]);
    expect(lines).toContain(
      "the hub lacked 1 of this node's claims, and has them again: it was restored from a backup",
    );
  });

  it("works for the other pools where one has no queue on the hub, and says so", async () => {
    const { dispatcher, queue } = serve({ accept: () => ({ ...ACCEPTANCE, pools: ["typo", POOL] }) });
    queue.add(offer("job-1"));
    await until("it is claimed", () => queue.said.length === 1);
    await reach(dispatcher, "failing");
    expect(dispatcher.report.dispatch?.why).toBe("the hub has no queue for the pool typo");
    expect(new Set(queue.pulls)).toEqual(new Set([POOL]));
  });

  it("asks for no further offer for a time when it cannot record one", async () => {
    const { dispatcher, queue, stores } = serve();
    stores.held.write = () => {
      throw new Error("no space left on device");
    };
    queue.add(offer("job-1"));
    queue.add(offer("job-2"));
    await reach(dispatcher, "failing");
    dispatcher.wake();
    await Bun.sleep(50);
    expect([queue.pulls.length, queue.said, queue.claims]).toEqual([1, [], []]);
    expect(dispatcher.report.dispatch?.why).toBe("no space left on device");
  });

  it("takes nothing without root's permission, on a hub that is too old, or with a ledger that cannot be read", async () => {
    const off = serve({ accept: () => undefined });
    await Bun.sleep(20);
    expect([off.dispatcher.report.dispatch, off.queue.pulls]).toEqual([{ state: "off", why: null }, []]);
    stop();
    const old = serve({}, { refusal: "the hub is nats-server 2.10.27" });
    await reach(old.dispatcher, "refused");
    expect([old.queue.pulls, old.lines]).toEqual([
      [],
      ["no job of the fleet is taken: the hub is nats-server 2.10.27"],
    ]);
    stop();
    const ledgerId = () => {
      throw new Error("there is no ledger yet");
    };
    const context = {
      node: "edge-1",
      bootId: "boot-1",
      now: () => Date.now(),
      newId: () => "",
      ledgerId,
      readLedger: () => new Map(),
      readRunner: () => undefined,
    };
    const blind = serve({ context });
    await reach(blind.dispatcher, "failing");
    expect([blind.queue.pulls, blind.lines]).toEqual([
      [],
      ["cannot take jobs of the fleet: there is no ledger yet"],
    ]);
  });
});
