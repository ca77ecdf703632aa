import { z } from "zod";
import { readStream } from "../src/fleet/hub/readStream.ts";
import { createSigningKey } from "../src/fleet/keys/signingKey.ts";
import { signDocument } from "../src/fleet/messages/signed.ts";
import { policySubject } from "../src/fleet/messages/subjects.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { FfrtmpUnderTest } from "./lib/ffrtmp.ts";
import { BenchHub, POOL } from "./lib/fleet/benchHub.ts";
import { RING } from "./lib/fleet/messages.ts";
import { NodeProcesses } from "./lib/fleet/nodeProcesses.ts";
import { measureAgent } from "./lib/fleet/realAgent.ts";
import { readCpuSeconds } from "./lib/processes.ts";
import { markdownTable, target } from "./lib/table.ts";

const NODES = 1000;
const PROCESSES = 4;
/** Each of the 20 jobs of a node takes a minute. */
const RESULTS_PER_SECOND_OF_A_NODE = 1 / 3;
const DOWN_MS = 3000;
const CONNECT_TIMEOUT_MS = 120_000;
/** After the last job, until the hub has all results. */
const DRAIN_TIMEOUT_MS = 60_000;
/** A policy of two hundred rules. */
const POLICY_BYTES = 16 * 1024;

const MOST_CORE_SHARE = 0.1;
const MOST_SERVER_MB = 200;
const MOST_POLICY_MS = 1000;
const MOST_BACK_MS = 5000;
const MOST_AGENT_KB = 8 * 1024;

/** Measures one server with many nodes, and the agent of one node. */
export const fleet: Benchmark = {
  title: "Fleet: a thousand nodes at one hub",
  needs: { openssl: "openssl" },
  async run({ quick }) {
    const count = quick ? NODES / 10 : NODES;
    const seconds = quick ? 15 : 60;
    using ffrtmp = new FfrtmpUnderTest();
    await using hub = new BenchHub(count);
    await using nodes = new NodeProcesses(PROCESSES);
    await hub.start();
    progress(`connecting ${count} nodes`);
    nodes.start(hub.nodes, hub.url, hub.caFile);
    await nodes.allConnected(CONNECT_TIMEOUT_MS);
    // Their first reports, and the server's own work after that many handshakes.
    await Bun.sleep(10_000);
    progress(`idle for ${seconds} s`);
    const rows = [await measureServer("no job ends", hub, seconds)];
    progress(`the executable's own agent, for ${seconds} s`);
    const agent = await measureAgent(ffrtmp, hub.invites.off, seconds);
    const taking = await measureAgent(ffrtmp, hub.invites.taking, seconds, {
      pool: POOL,
      trusted: hub.jobsKey,
    });
    const perSecond = count * RESULTS_PER_SECOND_OF_A_NODE;
    progress(`${Math.round(perSecond)} results/s for ${seconds} s`);
    nodes.endJobs(perSecond);
    await Bun.sleep(10_000);
    rows.push(await measureServer(`${Math.round(perSecond)} results/s`, hub, seconds));
    progress("killing the server");
    const backMs = await measureReturn(hub, nodes);
    nodes.endJobs(0);
    progress("comparing what the nodes have recorded with what the hub has");
    const stored = await compareResults(hub, nodes);
    progress("a policy to all nodes");
    const policyMs = await measurePolicy(hub, nodes);
    const [, busy] = rows;
    if (busy === undefined) throw new Error("nothing was measured");
    const peakMb = Math.max(...rows.map(({ peakMb: each }) => each));
    return [
      markdownTable(
        [`the server with ${count} nodes of 20 jobs`, "% of a core", "MB resident", "peak"],
        rows.map(({ name, coreShare, nowMb, peakMb: peak }) => [
          name,
          percent(coreShare),
          nowMb.toFixed(0),
          peak.toFixed(0),
        ]),
      ),
      "",
      markdownTable(
        ["an agent whose jobs neither start nor end", "MB private dirty", "ms of CPU a minute"],
        [
          ["without jobs of the fleet", agent] as const,
          ["which takes jobs of the fleet", taking] as const,
        ].map(([name, { memory, cpuMsPerMinute }]) => [
          name,
          megabytes(memory.privateDirty),
          cpuMsPerMinute.toFixed(0),
        ]),
      ),
      "",
      target(
        `at most ${MOST_CORE_SHARE * 100} % of a core: ${percent(busy.coreShare)}`,
        busy.coreShare <= MOST_CORE_SHARE,
      ),
      target(`at most ${MOST_SERVER_MB} MB: ${peakMb.toFixed(0)}`, peakMb <= MOST_SERVER_MB),
      target(
        `a policy of ${POLICY_BYTES / 1024} KiB at all nodes within ${MOST_POLICY_MS} ms: ${policyMs.toFixed(0)}`,
        policyMs <= MOST_POLICY_MS,
      ),
      target(
        `all nodes back ${MOST_BACK_MS / 1000} s after the start of a server that was killed and ${DOWN_MS / 1000} s down: ${(backMs / 1000).toFixed(1)} s`,
        backMs <= MOST_BACK_MS,
      ),
      target(
        `${stored.expected} results, none missing: ${stored.missing}, none twice: ${stored.twice}`,
        stored.missing === 0 && stored.twice === 0,
      ),
      target(
        `the agent at most ${MOST_AGENT_KB / 1024} MB private: ${megabytes(agent.memory.privateDirty)}`,
        agent.memory.privateDirty <= MOST_AGENT_KB,
      ),
      target(
        `the same where it takes jobs: ${megabytes(taking.memory.privateDirty)}`,
        taking.memory.privateDirty <= MOST_AGENT_KB,
      ),
    ].join("\n");
  },
};

interface ServerCost {
  name: string;
  coreShare: number;
  nowMb: number;
  peakMb: number;
}

async function measureServer(name: string, hub: BenchHub, seconds: number): Promise<ServerCost> {
  const [cpuBefore, from] = [readCpuSeconds(hub.pid), performance.now()];
  await Bun.sleep(seconds * 1000);
  const coreShare = (readCpuSeconds(hub.pid) - cpuBefore) / ((performance.now() - from) / 1000);
  const { nowBytes, peakBytes } = hub.memory();
  return { name, coreShare, nowMb: nowBytes / 1e6, peakMb: peakBytes / 1e6 };
}

/** Kills the server while results arrive. Returns how long after its new start the last node is connected. */
async function measureReturn(hub: BenchHub, nodes: NodeProcesses): Promise<number> {
  await hub.kill();
  await Bun.sleep(DOWN_MS);
  const startMs = Date.now();
  hub.startAgain();
  return (await nodes.allConnected(CONNECT_TIMEOUT_MS)) - startMs;
}

interface Stored {
  expected: number;
  missing: number;
  twice: number;
}

/** Waits until the hub has as many results as the nodes have recorded, and counts those of each number. */
async function compareResults(hub: BenchHub, nodes: NodeProcesses): Promise<Stored> {
  const recorded = await nodes.countResults();
  const expected = [...recorded.values()].reduce((sum, each) => sum + each, 0);
  const admin = await hub.admin();
  const schema = z.looseObject({ results: z.array(z.looseObject({ seq: z.number() })) });
  try {
    for (const endMs = performance.now() + DRAIN_TIMEOUT_MS; ; ) {
      await Bun.sleep(2000);
      const { messages } = await readStream(admin, "RESULTS", schema);
      const counts = new Map<string, number>();
      for (const { node, message } of messages) {
        for (const { seq } of message?.results ?? []) {
          // The real agent has a result of its own.
          if (recorded.has(node)) counts.set(`${node} ${seq}`, (counts.get(`${node} ${seq}`) ?? 0) + 1);
        }
      }
      const missing = expected - counts.size;
      const twice = [...counts.values()].filter((times) => times > 1).length;
      if (missing === 0 || performance.now() > endMs) return { expected, missing, twice };
    }
  } finally {
    await admin.close();
  }
}

/** Returns how long after its publication the last node has a policy, in ms. */
async function measurePolicy(hub: BenchHub, nodes: NodeProcesses): Promise<number> {
  const key = createSigningKey();
  const body = { v: 1, serial: 1, ring: RING, yaml: `# ${"x".repeat(POLICY_BYTES)}` };
  const document = JSON.stringify(signDocument("policy", body, key));
  const admin = await hub.admin();
  try {
    const received = nodes.policyReceived();
    const startMs = Date.now();
    admin.publish(policySubject(RING), document);
    return (await received) - startMs;
  } finally {
    await admin.close();
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function megabytes(kb: number): string {
  return (kb / 1024).toFixed(1);
}
