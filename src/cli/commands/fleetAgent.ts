import { existsSync, readFileSync } from "node:fs";
import { nkeys } from "@nats-io/transport-node";
import { FleetAgent } from "../../fleet/agent/agent.ts";
import { DispatchOnDemand } from "../../fleet/agent/dispatchOnDemand.ts";
import { DocumentKeeper } from "../../fleet/agent/documentKeeper.ts";
import { NodeLedger } from "../../fleet/agent/nodeLedger.ts";
import { type NodeFacts, readMachine } from "../../fleet/agent/nodeState.ts";
import { readSecret } from "../../fleet/keys/privateFile.ts";
import { NODE_CONFIG_FILE, type NodeConfig, readNodeConfig } from "../../fleet/nodeConfig.ts";
import { acceptFile, claimsDirectory, RUNNER_DIRECTORY } from "../../fleet/nodeFiles.ts";
import { Refusal } from "../../jobs/errors.ts";
import { locateState } from "../../ledger/location.ts";
import { realHost } from "../../linux/host.ts";
import { readBootId } from "../../linux/proc/identity.ts";
import { describeErrno } from "../../sys/errno.ts";
import { firstSignal } from "../../sys/ownSignals.ts";
import { denySignals } from "../denySignals.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { neverWaitForStderr, warn } from "../output/messages.ts";

interface AgentFlags extends CommonFlags {
  config?: string;
  withCommands?: boolean;
  accept?: string;
  agentState?: string;
  runnerState?: string;
}

/** Reports this node to the hub of its fleet, until a signal stops it. */
export async function runFleetAgent(flags: AgentFlags): Promise<number> {
  const config = readNodeConfig(flags.config ?? NODE_CONFIG_FILE);
  const seed = readSeed(config);
  checkAuthority(config);
  denySignals();
  neverWaitForStderr();
  const host = realHost();
  const withCommands = flags.withCommands ?? false;
  const ledger = new NodeLedger(locateState(flags.statePath, process.env).ledger, withCommands, warn);
  const documents = new DocumentKeeper(config);
  const control = () => documents.control();
  const known = { host, bootId: readBootId(host), config, machine: readMachine(host) };
  const facts = { ...known, withCommands, control };
  const dispatcher = dispatchOnDemand(facts, ledger, flags);
  const agent = new FleetAgent({ facts, ledger, documents, seed, dispatcher, log: warn });
  void firstSignal().then(() => agent.stop());
  await agent.run();
  return 0;
}

/** Without root's permission, and without claims from before it ended, there is nothing to do. */
function dispatchOnDemand(facts: NodeFacts, ledger: NodeLedger, flags: AgentFlags): DispatchOnDemand {
  const { accept = acceptFile(), agentState, runnerState = RUNNER_DIRECTORY } = flags;
  return new DispatchOnDemand(
    () => existsSync(accept) || existsSync(claimsDirectory(agentState)),
    async () => {
      const { createDispatcher } = await import("../../fleet/agent/createDispatcher.ts");
      return createDispatcher(facts, ledger, { accept, agentState, runnerState }, warn);
    },
  );
}

const REJOIN = "join the fleet again with ffrtmp fleet join";

/** A file without a certificate would fail each connection, with a reason that names the hub. */
function checkAuthority({ caFile: file }: NodeConfig): void {
  if (file === undefined) return;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Refusal(
      `cannot read the certificate of the hub's authority in ${file}: ${describeErrno(error)}`,
      REJOIN,
    );
  }
  if (!text.includes("-----BEGIN CERTIFICATE-----"))
    throw new Refusal(`${file} contains no certificate of the hub's authority`, REJOIN);
}

function readSeed({ nkeyFile: file }: NodeConfig): Uint8Array {
  try {
    const seed = new TextEncoder().encode(readSecret(file).trim());
    nkeys.fromSeed(seed);
    return seed;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const reason = error instanceof nkeys.NKeysError ? "it is no seed of an NKey" : describeErrno(error);
    throw new Refusal(`cannot use the key of this node in ${file}: ${reason}`, REJOIN);
  }
}
