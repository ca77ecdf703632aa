import { describe, expect, it, spyOn } from "bun:test";
import fc from "fast-check";
import { type Fate, ModelHub } from "../../../test/support/fleet/modelHub.ts";
import { ResultSender, type ResultSource } from "./sender.ts";

/** A ledger, of which a copy is a clone or a backup. */
class ModelLedger implements ResultSource {
  readonly ledgerId: string;
  lastSeq = 0;
  rows: { seq: number; key: string }[] = [];

  constructor(ledgerId: string) {
    this.ledgerId = ledgerId;
  }

  add(count: number): void {
    for (let index = 0; index < count; index++) this.rows.push({ seq: ++this.lastSeq, key: newKey() });
  }

  pruneFirst(count: number): void {
    this.rows.splice(0, count);
  }

  copy(): ModelLedger {
    return Object.assign(new ModelLedger(this.ledgerId), { lastSeq: this.lastSeq, rows: [...this.rows] });
  }

  keyOf(seq: number): string | undefined {
    return this.rows.find((row) => row.seq === seq)?.key;
  }

  after(seq: number, max: number) {
    return this.rows.filter((row) => row.seq > seq).slice(0, max);
  }
}

let keys = 0;
function newKey(): string {
  return `key-${++keys}`;
}

/** One node, whose ledger can be replaced, with its agents. */
class ModelNode {
  readonly hub: ModelHub;
  ledger: ModelLedger;
  /** The second one is an agent that was started by mistake. */
  senders: ResultSender[];

  constructor(hub: ModelHub, ledger = new ModelLedger("a")) {
    this.hub = hub;
    this.ledger = ledger;
    this.senders = [this.#newSender(), this.#newSender()];
  }

  restart(which: number): void {
    this.senders[which] = this.#newSender();
  }

  /** A server that starts again breaks all connections. */
  disconnect(): void {
    for (const sender of this.senders) sender.forget();
  }

  async step(which: number, fate: Fate) {
    this.hub.fate = fate;
    try {
      return await (this.senders[which] as ResultSender).step();
    } catch (error) {
      if (fate === "arrives") throw error;
      return undefined;
    } finally {
      this.hub.fate = "arrives";
    }
  }

  /** Takes steps until the hub has all. Returns the last one. */
  async drain() {
    for (let steps = 0; steps < 1000; steps++) {
      const step = await this.step(0, "arrives");
      if (step?.kind === "idle" || step?.kind === "diverged") return step;
    }
    throw new Error("the sender makes no progress");
  }

  #newSender(): ResultSender {
    return new ResultSender(this.hub, (read) => read(this.ledger), "boot");
  }
}

type Action = (node: ModelNode, ledgers: ModelLedger[]) => unknown;

const which = fc.constantFrom(0, 0, 0, 1);
const fate = fc.constantFrom<Fate>("arrives", "arrives", "arrives", "request lost", "answer lost", "late");
const small = fc.integer({ min: 1, max: 5 });

const ACTIONS: fc.Arbitrary<readonly [name: string, action: Action]>[] = [
  // More than one message takes.
  fc.constantFrom(1, 3, 250).map((count) => [`record ${count} results`, ({ ledger }) => ledger.add(count)]),
  fc.tuple(which, fate).map(([index, what]) => [`agent ${index}: ${what}`, (node) => node.step(index, what)]),
  which.map((index) => [`agent ${index} is killed and starts`, (node) => node.restart(index)]),
  fc.constant(["late requests arrive", ({ hub }) => hub.deliverLate()]),
  fc.constant(["another node sends", ({ hub }) => hub.storeForeign()]),
  fc.constant(["the hub is backed up", ({ hub }) => hub.backUp()]),
  fc.constant([
    "the hub is restored",
    (node) => {
      node.hub.restore();
      node.disconnect();
    },
  ]),
  small.map((count) => [
    `the hub loses its last ${count} messages`,
    (node) => {
      node.hub.loseLast(count);
      node.disconnect();
    },
  ]),
  small.map((index) => [
    `ledger ${index % 3} is used`,
    (node, ledgers) => {
      node.ledger = ledgers[index % 3] as ModelLedger;
    },
  ]),
];
const PRUNING: fc.Arbitrary<readonly [name: string, action: Action]> = small.map((count) => [
  `the oldest ${count} results are pruned`,
  ({ ledger }) => ledger.pruneFirst(count),
]);

const actions = (...more: typeof ACTIONS) =>
  fc.array(fc.oneof(...ACTIONS, ...more), { maxLength: 60, size: "max" });

async function play(steps: readonly (readonly [string, Action])[]) {
  const ledgers = ["a", "b", "c"].map((id) => new ModelLedger(id));
  const node = new ModelNode(new ModelHub(), ledgers[0]);
  for (const [, action] of steps) await action(node, ledgers);
  node.hub.deliverLate();
  for (const ledger of ledgers) {
    node.ledger = ledger;
    node.restart(0);
    expect((await node.drain()).kind).toBe("idle");
  }
  return { ledgers, messages: node.hub.messages };
}

function keysIn(messages: ModelHub["messages"], ledgerId?: string): string[] {
  return messages
    .filter((message) => ledgerId === undefined || message.ledger_id === ledgerId)
    .flatMap(({ results }) => results.map(({ key }) => key));
}

describe("the chain of results", () => {
  it("brings each result to the hub once, whatever is lost, late, restored or replaced", async () => {
    await fc.assert(
      fc.asyncProperty(actions(), async (steps) => {
        const { ledgers, messages } = await play(steps);
        for (const { ledgerId, rows } of ledgers)
          expect(keysIn(messages, ledgerId)).toEqual(rows.map(({ key }) => key));
      }),
      { numRuns: 300 },
    );
  });

  it("brings none twice and none late where results are pruned, and shows each gap", async () => {
    await fc.assert(
      fc.asyncProperty(actions(PRUNING), async (steps) => {
        const { ledgers, messages } = await play(steps);
        const sent = keysIn(messages);
        expect(new Set(sent).size).toBe(sent.length);
        for (const { ledgerId, rows } of ledgers) {
          const own = messages.filter((message) => message.ledger_id === ledgerId);
          for (const { key } of rows) expect(keysIn(own)).toContain(key);
          own.forEach(({ from, to, results }, index) => {
            expect(from).toBe((own[index - 1]?.to ?? 0) + 1);
            expect(results.every(({ seq }) => seq >= from && seq <= to)).toBe(true);
          });
        }
      }),
      { numRuns: 200 },
    );
  });

  it("stores nothing of a ledger that was restored from a backup behind the hub", async () => {
    await fc.assert(
      fc.asyncProperty(small, small, fc.nat(10), async (backedUp, sentLater, recordedLater) => {
        const node = new ModelNode(new ModelHub());
        node.ledger.add(backedUp);
        const backup = node.ledger.copy();
        node.ledger.add(sentLater);
        await node.drain();
        const before = node.hub.messages;
        node.ledger = backup;
        // Its new results may have the numbers that the hub has already, and higher ones.
        backup.add(recordedLater);
        const hubTo = backedUp + sentLater;
        const diverged = {
          kind: "diverged" as const,
          ledgerId: "a",
          hubTo,
          lastSeq: backedUp + recordedLater,
        };
        expect(await node.drain()).toEqual(diverged);
        node.restart(0);
        expect(await node.drain()).toEqual(diverged);
        expect(node.hub.messages).toEqual(before);
      }),
    );
  });

  it("continues a restored ledger of which the hub has no later result", async () => {
    const node = new ModelNode(new ModelHub());
    node.ledger.add(3);
    await node.drain();
    const backup = node.ledger.copy();
    node.ledger.add(2);
    node.ledger = backup;
    backup.add(4);
    expect((await node.drain()).kind).toBe("idle");
    expect(keysIn(node.hub.messages)).toEqual(backup.rows.map(({ key }) => key));
  });

  it("stores the results of one of two clones, and refuses the other one", async () => {
    const step = fc.tuple(
      fc.boolean(),
      fc.constantFrom("add", "arrives", "answer lost", "late", "request lost"),
    );
    await fc.assert(
      fc.asyncProperty(small, fc.array(step, { maxLength: 40 }), async (common, steps) => {
        const hub = new ModelHub();
        const original = new ModelNode(hub);
        original.ledger.add(common);
        const clone = new ModelNode(hub, original.ledger.copy());
        for (const [isClone, what] of steps) {
          const node = isClone ? clone : original;
          if (what === "add") node.ledger.add(1);
          else await node.step(0, what as Fate);
        }
        hub.deliverLate();
        for (const node of [original, clone]) node.ledger.add(1);
        const ends = [await original.drain(), await clone.drain(), await original.drain()];
        const kinds = ends.map(({ kind }) => kind);
        expect([kinds[1], kinds[2]].sort()).toEqual(["diverged", "idle"]);
        const winner = kinds[2] === "idle" ? original : clone;
        expect(keysIn(hub.messages)).toEqual(winner.ledger.rows.map(({ key }) => key));
      }),
    );
  });

  it("sends all again to a hub that was lost as a whole", async () => {
    const node = new ModelNode(new ModelHub());
    node.ledger.add(450);
    await node.drain();
    expect(node.hub.messages.map(({ from, to }) => [from, to])).toEqual([
      [1, 200],
      [201, 400],
      [401, 450],
    ]);
    node.hub.loseLast(3);
    node.disconnect();
    await node.drain();
    expect(keysIn(node.hub.messages)).toEqual(node.ledger.rows.map(({ key }) => key));
  });

  it("does not use a position that a lost connection has made uncertain while an answer was awaited", async () => {
    for (const call of ["readHead", "append"] as const) {
      const node = new ModelNode(new ModelHub());
      node.ledger.add(1);
      const [sender] = node.senders as [ResultSender];
      const answer = spyOn(node.hub, call);
      const original = ModelHub.prototype[call] as (...args: unknown[]) => Promise<never>;
      answer.mockImplementationOnce(async (...args: unknown[]) => {
        const value = await original.apply(node.hub, args);
        sender.forget();
        return value;
      });
      expect(await sender.step()).toEqual({ kind: "moved" });
      expect(sender.sent).toBeUndefined();
      await node.drain();
      expect(sender.sent).toBe(1);
      expect(keysIn(node.hub.messages)).toHaveLength(1);
    }
  });
});
