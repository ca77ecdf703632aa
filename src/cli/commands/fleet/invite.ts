import { hubUrl } from "../../../fleet/hub/address.ts";
import { waitForImports } from "../../../fleet/hub/admin.ts";
import { FleetDirectory, locateFleet, serversOf } from "../../../fleet/hub/fleetDirectory.ts";
import { formatInvite } from "../../../fleet/hub/invite.ts";
import { ensureStreams } from "../../../fleet/hub/streams.ts";
import type { NKey } from "../../../fleet/keys/nkey.ts";
import { isNodeName, NODE_NAME } from "../../../fleet/nodeConfig.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { reloadHub } from "./reload.ts";
import { withHub } from "./session.ts";

interface InviteFlags extends FleetFlags {
  renew?: boolean;
  pool?: string[];
}

/** Adds a node to the fleet, and prints the line with which a machine becomes this node. */
export async function invite(node: string, flags: InviteFlags): Promise<number> {
  if (!isNodeName(node)) throw new Refusal(`${JSON.stringify(node)} is not the name of a node: ${NODE_NAME}`);
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const { key, pools, probe } = directory.addNode(node, {
    isRenewed: flags.renew ?? false,
    pools: flags.pool,
  });
  const hub = serversOf(directory.read()).map(hubUrl);
  const policyKey = publicPolicyKey(directory);
  printOut(formatInvite({ node, hub, seed: key.seed, authority: directory.authority(), pools, policyKey }));
  printErr(
    `  on ${node}, as root: ffrtmp fleet join --start -, which reads this line from stdin. It contains the key of the node.`,
  );
  const code = await reloadHub(directory, probe, `${node} cannot connect yet`);
  return code === 0 ? await makeReady(flags, node, key, pools) : code;
}

/** The key may be on another machine. Then root of the node names its public part. */
function publicPolicyKey(directory: FleetDirectory): string | null {
  try {
    return directory.signingKey("policy").publicKey;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    warn(`the node will accept no policies of the fleet: ${error.message}`);
    printErr("  where the key is: ffrtmp fleet key; then on the node: ffrtmp fleet trust KEY");
    return null;
  }
}

/**
 * Creates the streams and queues that the node needs, and waits until it reaches them. Returns an exit code: 1 where it does not,
 * or where the hub can hand out no jobs.
 */
async function makeReady(
  flags: FleetFlags,
  node: string,
  key: NKey,
  pools: readonly string[],
): Promise<number> {
  const { lacksDispatch } = await withHub(flags, (connection, directory) =>
    ensureStreams(connection, pools, serversOf(directory.read()).length),
  );
  const isReady = await waitForImports(new FleetDirectory(locateFleet(flags.dir)), node, key.seed);
  if (!isReady) {
    warn(`the hub knows ${node}, but does not yet let it reach the streams`);
    printErr("  try: reload the hub once more, such as by systemctl reload ffrtmp-hub");
  }
  const isLacking = pools.length > 0 && lacksDispatch !== undefined;
  if (isLacking) warn(lacksDispatch);
  return isReady && !isLacking ? 0 : 1;
}
