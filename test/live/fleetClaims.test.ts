import { afterEach, describe, expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createSigningKey } from "../../src/fleet/keys/signingKey.ts";
import { type Random, randomFrom } from "../chaos/random.ts";
import { ClaimNode, LeaseNode, type WorkerNode } from "../support/fleet/dispatchNodes.ts";
import { lacksNatsServer } from "../support/fleet/natsProgram.ts";
import { TestHub } from "../support/fleet/natsServer.ts";
import { POOL, signedOffer } from "../support/fleet/offers.ts";
import { lacksRunner } from "../support/fleet/runnerNode.ts";
import { testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const testWithHub = testIf(lacksNatsServer() ?? lacksRunner());

const JOBS = 200;
const NODES = Array.from({ length: 8 }, (_, index) => `edge-${index + 1}`);
const SEED = Number(process.env["FFRTMP_CHAOS_SEED"] ?? Date.now() % 1_000_000);
/** The lease of the check of the check: longer than a renewal by far, shorter than many faults. */
const [LEASE_MS, RENEWAL_MS] = [2000, 400];
const DEADLINE_MS = 120_000;

let open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open) await each.close();
  open = [];
});

/** The attempts whose workloads have recorded their start, in that order. */
function startsIn(file: string): string[] {
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").filter(Boolean) : [];
}

async function startHub(nodes: readonly string[]): Promise<TestHub> {
  const hub = new TestHub(sandbox(), nodes, [POOL]);
  open.push(hub);
  await hub.start();
  return hub;
}

/** Offers the jobs while the nodes work, so that faults meet all states of a job. */
async function offerJobs(hub: TestHub, key: ReturnType<typeof createSigningKey>, random: Random) {
  for (let number = 1; number <= JOBS; number++) {
    const seconds = random.between(2, 25) / 10;
    await hub.offer(POOL, signedOffer(key, `job-${number}`, { params: { seconds } }));
  }
}

/** Kills workers and the server, cuts links and stops the server, one after the other, until `isOver` and each kind was often. */
async function disturb(
  hub: TestHub,
  nodes: readonly WorkerNode[],
  random: Random,
  isOver: () => boolean,
): Promise<Record<string, number>> {
  const counts = { kill: 0, cut: 0, "server kill": 0, "server stop": 0 };
  const kinds = Object.keys(counts) as (keyof typeof counts)[];
  for (let round = 0; !isOver() || kinds.some((kind) => counts[kind] < 3); round++) {
    const kind = kinds[round % kinds.length] as keyof typeof counts;
    const some = nodes.filter(() => random.happens(0.3));
    counts[kind] += kind === "cut" || kind === "kill" ? some.length : 1;
    const ms = random.between(100, 2 * LEASE_MS);
    if (kind === "kill") {
      await Promise.all(some.map((node) => node.kill(random.between(0, 1))));
      await Bun.sleep(ms);
      for (const node of some) node.start();
    } else if (kind === "cut") {
      for (const node of some) node.link.cut();
      await Bun.sleep(ms);
      for (const node of some) node.link.mend();
    } else if (kind === "server kill") {
      await hub.kill();
      await Bun.sleep(ms / 4);
      await hub.start();
    } else await hub.freeze(ms);
    await Bun.sleep(random.between(50, 800));
  }
  return counts;
}

function twiceIn(starts: readonly string[]): string[] {
  return starts.filter((start, index) => starts.indexOf(start) !== index);
}

describe(`${JOBS} jobs on ${NODES.length} nodes through kills, cuts and stops (FFRTMP_CHAOS_SEED=${SEED})`, () => {
  testWithHub("run once each by claims, and each result arrives once", async () => {
    const random = randomFrom(SEED);
    const hub = await startHub(NODES);
    const [key, starts] = [createSigningKey(), sandbox().path("starts")];
    const nodes = NODES.map((name) => new ClaimNode(sandbox(), hub, name, starts, key));
    open.push(...nodes.map(({ link }) => link));
    for (const node of nodes) await node.makeLedger();
    for (const node of nodes) node.start();
    await offerJobs(hub, key, random);
    const startMs = performance.now();
    const isOver = () => startsIn(starts).length >= JOBS || performance.now() - startMs > DEADLINE_MS;
    const faults = await disturb(hub, nodes, random, isOver);
    let results: string[] = [];
    await until(
      `the hub has the results of all ${JOBS} jobs`,
      async () => {
        results = [];
        for (const { name } of nodes) results.push(...(await jobsOnHub(hub, name)));
        return results.length >= JOBS;
      },
      DEADLINE_MS,
    );
    await until("each node has settled its claims", () => nodes.every((node) => node.held === 0));
    const all = Array.from({ length: JOBS }, (_, index) => `job-${index + 1}.1`).sort();
    console.log(
      `claims: ${JSON.stringify(faults)}, ${startsIn(starts).length} starts, ${results.length} results`,
    );
    expect(twiceIn(startsIn(starts))).toEqual([]);
    expect(startsIn(starts).sort()).toEqual(all);
    expect(results.sort()).toEqual(all);
    const claims = await hub.messages("CLAIMS");
    expect(claims.map(({ subject }) => subject.split(".").slice(1, 4).join(".")).sort()).toEqual(
      all.map((id) => `claim.${id}`),
    );
    expect(await hub.messages("JOBS")).toEqual([]);
  });

  testWithHub("run twice by leases: the check of the test above", async () => {
    const random = randomFrom(SEED);
    const hub = await startHub(NODES);
    await hub.changeQueue(POOL, { ack_wait: LEASE_MS * 1e6 });
    const [key, starts] = [createSigningKey(), sandbox().path("starts")];
    const nodes = NODES.map((name) => new LeaseNode(sandbox(), hub, name, starts, RENEWAL_MS));
    open.push(...nodes.map(({ link }) => link));
    for (const node of nodes) node.start();
    await offerJobs(hub, key, random);
    const isOver = () => new Set(startsIn(starts)).size >= JOBS;
    const faults = await disturb(hub, nodes, random, isOver);
    const twice = twiceIn(startsIn(starts));
    console.log(
      `leases: ${JSON.stringify(faults)}, ${startsIn(starts).length} starts, ${twice.length} of them twice`,
    );
    expect(twice).not.toEqual([]);
  });
});

/** Returns the ids of the results of jobs of the fleet that a node has sent, each of which must have ended well. */
async function jobsOnHub(hub: TestHub, node: string): Promise<string[]> {
  const results = (await hub.results(node)).flatMap((message) => message.results);
  const own = results.filter(
    ({ labels }) => typeof labels === "object" && labels !== null && "fleet_job" in labels,
  );
  for (const result of own) expect(result).toMatchObject({ exit_code: 0, exit_evidence: "parent" });
  return own.map(({ job_id: id }) => String(id));
}
