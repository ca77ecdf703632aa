import { hubUrl } from "../../../fleet/hub/address.ts";
import { FleetDirectory, locateFleet } from "../../../fleet/hub/fleetDirectory.ts";
import { formatInvite } from "../../../fleet/hub/invite.ts";
import { isNodeName, NODE_NAME } from "../../../fleet/nodeConfig.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { printErr, printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { reloadHub } from "./reload.ts";

/** Adds a node to the fleet, and prints the line with which a machine becomes this node. */
export async function invite(node: string, flags: FleetFlags & { renew?: boolean }): Promise<number> {
  if (!isNodeName(node)) throw new Refusal(`${JSON.stringify(node)} is no name of a node: ${NODE_NAME}`);
  const directory = new FleetDirectory(locateFleet(flags.dir));
  const { key, probe } = directory.addNode(node, flags.renew ?? false);
  const { hub } = directory.read();
  printOut(formatInvite({ node, hub: [hubUrl(hub)], seed: key.seed, authority: directory.authority() }));
  printErr(
    `  on ${node}, as root: ffrtmp fleet join INVITE, with the line above. It contains the key of the node.`,
  );
  return await reloadHub(directory, probe, `${node} cannot connect yet`);
}
