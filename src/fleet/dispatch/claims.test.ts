import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { type Fate, ModelDispatchHub, ModelNode } from "../../../test/support/fleet/modelDispatch.ts";
import { SUCCESS } from "../../../test/support/jobs.ts";
import type { Ending } from "../../jobs/model/ending.ts";
import { attemptId, type JobBody, jobBody, type Offer } from "../messages/job.ts";

const NODES = ["edge-1", "edge-2", "edge-3"];
const UNOBSERVED: Ending = { kind: "unobserved", reason: "no ffrtmp was there" };

function someOffer(id: string, different: Partial<JobBody> = {}): Offer {
  const body: JobBody = {
    v: 1,
    id,
    pool: "live",
    template: "hls",
    params: {},
    attempts: 3,
    not_before: null,
    not_after: "2026-12-28T00:00:00.000Z",
    rerun: "if_lost",
    labels: {},
    by: "ops",
    at: "2026-11-28T00:00:00.000Z",
    ...different,
  };
  return { v: 1, attempt: 1, job: { v: 1, kind: "job", body: JSON.stringify(body), key: "O", sig: "s" } };
}

const bodyOf = ({ job }: Offer) => jobBody.parse(JSON.parse(job.body));

interface World {
  hub: ModelDispatchHub;
  nodes: ModelNode[];
}

const fate = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Fate>("arrives") },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Fate>("request lost", "answer lost", "late", "killed before", "killed after"),
  },
);

/** The faults of one act: what becomes of its calls, and after how many writes the agent is killed. */
const faults = fc.record({
  fates: fc.array(fate, { maxLength: 5 }),
  actsUntilDeath: fc.option(fc.nat(5), { nil: Number.POSITIVE_INFINITY, freq: 2 }),
});

type Step = readonly [name: string, run: (world: World) => Promise<void> | void];

const nodeStep = (
  name: string,
  arbitrary: fc.Arbitrary<(node: ModelNode, world: World) => Promise<unknown> | unknown>,
): fc.Arbitrary<Step> =>
  fc.tuple(fc.nat(NODES.length - 1), faults, arbitrary).map(([index, fault, run]) => [
    `${name} at ${NODES[index]} ${JSON.stringify(fault)}`,
    async (world) => {
      const node = world.nodes[index] as ModelNode;
      Object.assign(node, fault);
      await run(node, world);
    },
  ]);

const STEPS: fc.Arbitrary<Step>[] = [
  nodeStep(
    "an offer",
    fc.tuple(fc.nat(20), fc.boolean()).map(([index, isAcknowledged]) => async (node, { hub, nodes }) => {
      // After a restore, the queues stay closed until all nodes have looked at their claims.
      if (nodes.some(({ mustReassert }) => mustReassert)) return;
      const { queue } = hub.state;
      const offer = queue[index % Math.max(1, queue.length)];
      if (offer !== undefined) await node.receive(offer, isAcknowledged);
    }),
  ),
  nodeStep(
    "asks whose",
    fc.constant((node) => node.act((claims, hub) => claims.resolve(hub))),
  ),
  nodeStep(
    "settles",
    fc.constant((node) => node.act((claims, hub) => claims.settle(hub))),
  ),
  nodeStep("compares", fc.constant(reassert)),
  nodeStep(
    "runs",
    fc.constant((node) => node.run()),
  ),
  nodeStep(
    "refuses",
    fc.constant((node) => node.refuse()),
  ),
  nodeStep(
    "jobs end",
    fc.constant((node) => node.end(SUCCESS)),
  ),
  nodeStep(
    "nobody sees jobs end",
    fc.constant((node) => node.end(UNOBSERVED)),
  ),
  nodeStep(
    "restarts the machine",
    fc.constant((node) => node.reboot()),
  ),
  fc.constant(["late calls arrive", ({ hub }) => hub.deliverLate()]),
];

const RESTORES: fc.Arbitrary<Step>[] = [
  fc.constant(["the hub is backed up", ({ hub }) => hub.backUp()]),
  fc.constant([
    "the hub is restored",
    ({ hub, nodes }) => {
      hub.restore();
      for (const node of nodes) node.mustReassert = true;
    },
  ]),
];

async function reassert(node: ModelNode): Promise<void> {
  const missing = await node.act((claims, hub) => claims.reassert(hub));
  if (missing !== undefined) node.mustReassert = false;
}

/** Throws where an attempt was started twice, or by a node that does not own it. */
function checkStarts({ nodes }: World): void {
  const starts = nodes.flatMap((node) => node.starts);
  expect(starts).toEqual([...new Set(starts)]);
}

/** Throws where an attempt has two owners, or was started without a claim on the hub. */
function checkOwners({ hub, nodes }: World): void {
  const owners = new Map<string, string>();
  for (const node of nodes) {
    const all = [...node.held.readAll().entries, ...node.settled.readAll().entries];
    for (const { job, attempt, record } of all) {
      if (record.state === "offered") continue;
      const id = attemptId(job, attempt);
      expect(owners.get(id) ?? node.name).toBe(node.name);
      owners.set(id, node.name);
    }
  }
  const claimants = hub.state.claims.map(({ attempt, subject }) => [attempt, subject] as const);
  for (const [attempt] of claimants)
    expect(new Set(claimants.filter(([other]) => other === attempt).map(([, by]) => by)).size).toBe(1);
  for (const node of nodes)
    for (const id of node.starts)
      expect(hub.state.claims.some(({ subject }) => subject === `${id}.${node.name}`)).toBe(true);
}

/** Lets everything work from now on, until nothing is left to do. */
async function finish(world: World): Promise<void> {
  const { hub, nodes } = world;
  hub.deliverLate();
  for (const node of nodes) Object.assign(node, { fates: [], actsUntilDeath: Number.POSITIVE_INFINITY });
  for (let round = 0; round < 12; round++) {
    for (const node of nodes) await reassert(node);
    for (const [index, offer] of [...hub.state.queue].entries())
      await (nodes[index % nodes.length] as ModelNode).receive(offer, true);
    for (const node of nodes) {
      await node.act((claims, connection) => claims.resolve(connection));
      node.run();
      node.end(SUCCESS);
      await node.act((claims, connection) => claims.settle(connection));
    }
  }
}

async function play(steps: readonly Step[], jobs: readonly Offer[], check: (world: World) => void) {
  const hub = new ModelDispatchHub();
  const world = { hub, nodes: NODES.map((name) => new ModelNode(hub, name)) };
  hub.state.queue.push(...jobs);
  hub.backUp();
  for (const [, run] of steps) {
    await run(world);
    check(world);
  }
  await finish(world);
  check(world);
  expect(hub.state.queue).toEqual([]);
  return world;
}

const steps = (...more: fc.Arbitrary<Step>[]) =>
  fc.array(fc.oneof(...STEPS, ...more), { maxLength: 80, size: "max" });

describe("the claims of several nodes", () => {
  it("give each attempt one owner and one start, and each job an end, whatever is lost, late or killed", async () => {
    const offers = [1, 2, 3].map((number) => someOffer(`job-${number}`));
    await fc.assert(
      fc.asyncProperty(steps(), async (each) => {
        const { hub, nodes } = await play(each, offers, (world) => {
          checkStarts(world);
          checkOwners(world);
        });
        const settled = nodes.flatMap((node) => node.settled.readAll().entries);
        for (const offer of offers) {
          const { id, attempts } = bodyOf(offer);
          const own = settled.filter(({ job }) => job === id).sort((a, b) => a.attempt - b.attempt);
          // Attempts follow each other, each after a stated loss, and the last one has a result unless all were lost.
          expect(own.map(({ attempt }) => attempt)).toEqual(own.map((_, index) => index + 1));
          const lost = own.filter(({ record }) => record.loss !== null).length;
          expect(lost).toBe(own.length === attempts ? lost : own.length - 1);
          expect(own.length).toBeGreaterThan(0);
          for (const { job, attempt, record } of own)
            expect(hub.state.losses.has(attemptId(job, attempt))).toBe(record.loss !== null);
        }
        for (const node of nodes) expect(node.held.names()).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it("start nothing twice after a restore of the hub, if each node has looked at its claims first", async () => {
    const offers = [1, 2, 3].map((number) => someOffer(`job-${number}`));
    await fc.assert(
      fc.asyncProperty(steps(...RESTORES), async (each) => {
        const { hub, nodes } = await play(each, offers, checkStarts);
        const settled = nodes.flatMap((node) => node.settled.readAll().entries);
        const lost = settled.filter(({ record }) => record.loss !== null && record.claim_seq !== null);
        for (const { job, attempt } of lost) expect(hub.state.losses.has(attemptId(job, attempt))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it("bring back a loss that was stated after the backup of a hub, and the offer that followed it", async () => {
    const hub = new ModelDispatchHub();
    const node = new ModelNode(hub, "edge-1");
    await node.receive(someOffer("job-1"), true);
    node.run();
    hub.backUp();
    node.end(UNOBSERVED);
    await node.act((claims, connection) => claims.settle(connection));
    hub.restore();
    expect([hub.state.losses.size, hub.state.queue.length]).toEqual([0, 0]);
    // The claim is in the backup.
    expect(await node.act((claims, connection) => claims.reassert(connection))).toBe(0);
    expect([...hub.state.losses.keys()]).toEqual(["job-1.1"]);
    expect(hub.state.queue).toMatchObject([{ attempt: 2 }]);
  });

  it("bring back an earlier loss before a new one is stated, which would hide that the hub lacks it", async () => {
    const hub = new ModelDispatchHub();
    const node = new ModelNode(hub, "edge-1");
    await node.receive(someOffer("job-1"), true);
    await node.receive(someOffer("job-2"), true);
    node.run();
    hub.backUp();
    node.end(UNOBSERVED);
    // It is killed after the first loss: before and after each of its two writes is an act.
    node.actsUntilDeath = 4;
    await node.act((claims, connection) => claims.settle(connection));
    expect(node.settled.names()).toEqual([{ job: "job-1", attempt: 1 }]);
    hub.restore();
    await node.act((claims, connection) => claims.settle(connection));
    await node.act((claims, connection) => claims.reassert(connection));
    expect([...hub.state.losses.keys()].sort()).toEqual(["job-1.1", "job-2.1"]);
  });

  it("are over by the clock of the hub alone: while that is not known, none is forgotten, and a lost job is offered again", async () => {
    const hub = new ModelDispatchHub();
    const node = new ModelNode(hub, "edge-1");
    await node.receive(someOffer("job-1", { not_after: "2026-11-01T00:00:00.000Z" }), true);
    node.run();
    node.end(UNOBSERVED);
    node.hubMs = undefined;
    await node.act((claims, connection) => claims.settle(connection));
    await node.act(async (claims) => claims.forgetOld());
    expect([hub.state.queue.length, node.settled.names().length]).toEqual([1, 1]);
    node.hubMs = Date.parse("2026-11-28T00:00:00.000Z");
    await node.act(async (claims) => claims.forgetOld());
    expect(node.settled.names()).toEqual([]);
  });

  it("are not those of a clone, nor of a node that has lost its records", async () => {
    const hub = new ModelDispatchHub();
    const [original, clone] = [new ModelNode(hub, "edge-1"), new ModelNode(hub, "edge-1")];
    const offer = someOffer("job-1");
    hub.state.queue.push(offer);
    await original.receive(offer, false);
    await clone.receive(offer, true);
    for (const node of [original, clone]) node.run();
    expect([original.starts, clone.starts]).toEqual([["job-1.1"], []]);
    expect(clone.held.names()).toEqual([]);
  });

  it("give up what an operator has stated as lost, and not what has begun", async () => {
    const hub = new ModelDispatchHub();
    const node = new ModelNode(hub, "edge-1");
    await node.receive(someOffer("job-1"), true);
    node.run();
    for (const id of ["job-2", "job-3"]) await node.receive(someOffer(id), true);
    const loss = {
      v: 1,
      attempt: 1,
      node: "edge-1",
      reason: "stated",
      why: "gone",
      at: "2026-11-28T00:00:00.000Z",
    } as const;
    for (const job of ["job-1", "job-2", "job-3"])
      hub.state.losses.set(`${job}.1`, { ...loss, job, by: job === "job-3" ? null : "ops" });
    await node.act((claims, connection) => claims.heed(connection));
    expect(node.held.names().map(({ job }) => job)).toEqual(["job-1", "job-3"]);
    node.run();
    expect(node.starts).toEqual(["job-1.1", "job-3.1"]);
  });

  it("keep an attempt that has started and that the ledger does not know any more", async () => {
    const hub = new ModelDispatchHub();
    const node = new ModelNode(hub, "edge-1");
    await node.receive(someOffer("job-1"), true);
    node.run();
    node.ledger.clear();
    const unclear = await node.act((claims, connection) => claims.settle(connection));
    expect(unclear).toEqual([
      expect.stringContaining("job-1.1 has started here, and the ledger does not know it"),
    ]);
    expect([node.held.names().length, hub.state.losses.size]).toEqual([1, 0]);
  });

  it("offer nothing again that is not to be run again", async () => {
    await fc.assert(
      fc.asyncProperty(steps(), async (each) => {
        const { nodes } = await play(each, [someOffer("job-1", { rerun: "never" })], checkStarts);
        expect(nodes.flatMap((node) => node.starts).length).toBeLessThanOrEqual(1);
        const settled = nodes.flatMap((node) => node.settled.readAll().entries);
        expect(settled.map(({ attempt }) => attempt)).toEqual([1]);
      }),
      { numRuns: 100 },
    );
  });
});
