import { join } from "node:path";

/** The files of a node in a fleet. Root's decisions are apart from what the agent, which has no rights, may write. */

/** Root's directory: who this node is, and what it accepts. The agent only reads it. */
const NODE_DIRECTORY = "/etc/ffrtmp/fleet";

/** The configuration of a node, which `ffrtmp fleet join` writes. */
export const NODE_CONFIG_FILE = join(NODE_DIRECTORY, "node.yaml");

/** The agent's directory, as the unit of the service creates it. Nothing in it is believed without a signature. */
export const AGENT_DIRECTORY = "/var/lib/ffrtmp-fleet";

/** Where the runner, which is root, records what it has started. */
export const RUNNER_DIRECTORY = "/var/lib/ffrtmp-runner";

/** Root's permission for jobs of the fleet. Absent: the node takes none. */
export function acceptFile(nodeDirectory = NODE_DIRECTORY): string {
  return join(nodeDirectory, "accept.yaml");
}

/** Where the agent records what it has claimed. */
export function claimsDirectory(agentDirectory = AGENT_DIRECTORY): string {
  return join(agentDirectory, "claims");
}

/** The public keys of the operators whose documents this node accepts, one on each line. Absent: it accepts none. */
export function trustedFile(nodeDirectory = NODE_DIRECTORY): string {
  return join(nodeDirectory, "trusted");
}

/** Exists while root keeps this node from claiming jobs. */
export function localCordonFile(nodeDirectory = NODE_DIRECTORY): string {
  return join(nodeDirectory, "cordon.json");
}

/** The last document about this node, with the highest serial that the agent has accepted. */
export function desiredFile(agentDirectory = AGENT_DIRECTORY): string {
  return join(agentDirectory, "desired.json");
}

/** The last policy of the node's ring, as the hub sent it. `ffrtmp watch` judges it. */
export function placedPolicyFile(agentDirectory = AGENT_DIRECTORY): string {
  return join(agentDirectory, "policy.signed.json");
}
