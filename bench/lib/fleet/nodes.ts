import { FleetAgent } from "../../../src/fleet/agent/agent.ts";
import { DispatchOnDemand } from "../../../src/fleet/agent/dispatchOnDemand.ts";
import { DocumentKeeper } from "../../../src/fleet/agent/documentKeeper.ts";
import { type NodeFacts, readMachine } from "../../../src/fleet/agent/nodeState.ts";
import type { NodeConfig } from "../../../src/fleet/nodeConfig.ts";
import { realHost } from "../../../src/linux/host.ts";
import { readBootId } from "../../../src/linux/proc/identity.ts";
import { type FromNodes, RING, type ToNodes } from "./messages.ts";
import { SimulatedLedger } from "./simulatedLedger.ts";

/**
 * The program of a process that is many nodes of a fleet: each with the agent's own code, connection and key, and with a
 * ledger in memory. bench/fleet.ts starts it and talks to it by IPC.
 */

const JOBS_OF_A_NODE = 20;
const TICK_MS = 20;
/** A directory that does not exist: nothing is kept. */
const NOWHERE = "/nonexistent/ffrtmp-bench";
/** Nodes start one after the other: these processes have few CPUs, and 1,000 nodes have many. */
const START_EVERY_MS = 30;

interface SimulatedNode {
  node: string;
  ledger: SimulatedLedger;
  isConnected: boolean;
}

const host = realHost();
const machine = readMachine(host);
const bootId = readBootId(host);
const nodes: SimulatedNode[] = [];
let connected = 0;
let expected = 0;
let placed = 0;
let hub = { url: "", caFile: "" };
let perSecond = 0;
let owed = 0;
let next = 0;

function tell(message: FromNodes): void {
  process.send?.(message);
}

const reported = new Set<string>();

/** Many nodes have the same fault. */
function reportOnce(text: string): void {
  if (reported.has(text)) return;
  reported.add(text);
  console.error(`  a node says: ${text}`);
}

function setConnected(node: SimulatedNode, isConnected: boolean): void {
  if (node.isConnected === isConnected) return;
  node.isConnected = isConnected;
  const before = connected;
  connected += isConnected ? 1 : -1;
  const atMs = Date.now();
  if (connected === expected) tell({ kind: "connections", all: true, atMs });
  else if (before === expected) tell({ kind: "connections", all: false, atMs });
}

function startNode(name: string, seed: string): void {
  const config: NodeConfig = {
    v: 1,
    node: name,
    hub: [hub.url],
    nkeyFile: "",
    caFile: hub.caFile,
    labels: { site: "ber" },
    pools: [],
    ring: RING,
    directory: NOWHERE,
    stateDirectory: NOWHERE,
  };
  const documents = new PlacedPolicies(config);
  const control = () => documents.control();
  const facts: NodeFacts = { host, bootId, config, machine, withCommands: false, control };
  const ledger = new SimulatedLedger(JOBS_OF_A_NODE);
  const agent = new FleetAgent({
    facts,
    ledger,
    documents,
    seed,
    // No simulated machine takes jobs of the fleet.
    dispatcher: new DispatchOnDemand(
      () => false,
      () => Promise.reject(new Error("there is no dispatcher")),
    ),
    log(text) {
      // The agent's own words are the only sign of its connection.
      if (/^connected to|connection to the hub is back/.test(text)) setConnected(node, true);
      else if (text.includes("is lost")) setConnected(node, false);
      else reportOnce(text);
    },
  });
  const node: SimulatedNode = { node: name, ledger, isConnected: false };
  nodes.push(node);
  void agent.run();
}

async function startAll(all: readonly { node: string; seed: string }[]): Promise<void> {
  for (const { node, seed } of all) {
    startNode(node, seed);
    await Bun.sleep(START_EVERY_MS);
  }
}

/** Ends the jobs that are due, those of each node in turn. */
setInterval(() => {
  owed += (perSecond * TICK_MS) / 1000;
  for (; owed >= 1; owed--) nodes[next++ % nodes.length]?.ledger.endJob();
}, TICK_MS);

/** Places no file: 1,000 nodes have as many disks, and this machine has one. */
class PlacedPolicies extends DocumentKeeper {
  override placePolicy(): undefined {
    placed++;
    if (placed === expected) tell({ kind: "policy", atMs: Date.now() });
  }
}

process.on("message", (message: ToNodes) => {
  if (message.kind === "start") {
    hub = { url: message.hub, caFile: message.caFile };
    expected = message.nodes.length;
    void startAll(message.nodes);
  } else if (message.kind === "end jobs") {
    perSecond = message.perSecond;
    owed = 0;
  } else if (message.kind === "count") {
    const results = Object.fromEntries(nodes.map(({ node, ledger }) => [node, ledger.lastSeq]));
    tell({ kind: "counted", results });
  }
});
