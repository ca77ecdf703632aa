import { existsSync } from "node:fs";
import { FleetAgent } from "../../fleet/agent/agent.ts";
import { DispatchOnDemand } from "../../fleet/agent/dispatchOnDemand.ts";
import { DocumentKeeper } from "../../fleet/agent/documentKeeper.ts";
import { type AgentSettings, beginAgain, hasBegunAgain } from "../../fleet/agent/newStart.ts";
import { NodeLedger } from "../../fleet/agent/nodeLedger.ts";
import { type NodeFacts, readMachine } from "../../fleet/agent/nodeState.ts";
import { RootsLocks } from "../../fleet/agent/rootsLocks.ts";
import type { Locks } from "../../fleet/dispatch/locks.ts";
import { readSecret } from "../../fleet/keys/privateFile.ts";
import { isUserSeed } from "../../fleet/keys/userKey.ts";
import type { NodeConfig } from "../../fleet/nodeConfig.ts";
import { claimsDirectory } from "../../fleet/nodeFiles.ts";
import { Refusal } from "../../jobs/errors.ts";
import { realHost } from "../../linux/host.ts";
import { readBootId } from "../../linux/proc/identity.ts";
import { describeErrno } from "../../sys/errno.ts";
import { firstSignal } from "../../sys/ownSignals.ts";
import { denySignals } from "../denySignals.ts";
import { neverWaitForStderr, warn } from "../output/messages.ts";

/** By then the agent has connected, reported and sent what waited. */
const SETTLED_MS = 5000;

export const REJOIN = "join the fleet again with ffrtmp fleet join";

/**
 * Is the agent of a node until a signal stops it. It loads little: it has 8 MB of memory for itself. `renew`: how it reads what root
 * allows after a change; it does not return where that takes a new start. Returns the exit code.
 */
export async function serveAsAgent(
  settings: AgentSettings,
  renew: () => Locks | undefined = () => void beginAgain(),
): Promise<number> {
  const { config, ledger: path, withCommands } = settings;
  const seed = readSeed(config);
  // A second filter would be asked at each system call too, and the kernel takes only so many.
  if (!hasBegunAgain(process.env)) denySignals();
  neverWaitForStderr();
  const host = realHost();
  const ledger = new NodeLedger(path, withCommands, warn);
  const documents = new DocumentKeeper(config);
  const control = () => documents.control();
  const known = { host, bootId: readBootId(host), config, machine: readMachine(host) };
  const facts = { ...known, withCommands, control };
  const dispatcher = dispatchOnDemand(facts, ledger, settings, renew);
  const agent = new FleetAgent({ facts, ledger, documents, seed, dispatcher, log: warn });
  const settled = setTimeout(releaseMemory, SETTLED_MS);
  void firstSignal().then(() => agent.stop());
  await agent.run();
  clearTimeout(settled);
  return 0;
}

/** Without root's permission, and without claims from before it ended, there is nothing to do. */
function dispatchOnDemand(
  facts: NodeFacts,
  ledger: NodeLedger,
  { dispatch }: AgentSettings,
  renew: () => Locks | undefined,
): DispatchOnDemand {
  const locks = new RootsLocks(dispatch.accept, dispatch.locks, renew);
  return new DispatchOnDemand(
    () => existsSync(dispatch.accept) || existsSync(claimsDirectory(dispatch.agentState)),
    async () => {
      const { createDispatcher } = await import("../../fleet/agent/createDispatcher.ts");
      return createDispatcher(facts, ledger, dispatch, locks, warn);
    },
  );
}

/** Frees what the start alone has needed, 1 MB: the runtime would keep it until more is allocated. */
function releaseMemory(): void {
  Bun.shrink();
  Bun.gc(true);
}

/** Returns the seed of the node's key. Throws a Refusal. */
export function readSeed({ nkeyFile: file }: NodeConfig): string {
  let seed: string;
  try {
    seed = readSecret(file).trim();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(`cannot use the key of this node in ${file}: ${describeErrno(error)}`, REJOIN);
  }
  if (!isUserSeed(seed))
    throw new Refusal(`cannot use the key of this node in ${file}: it is no seed of an NKey`, REJOIN);
  return seed;
}
