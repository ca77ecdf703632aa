import type { PolicyBody } from "../messages/control.ts";
import type { NodeMessage } from "../messages/node.ts";
import { isSelected } from "../policy/selection.ts";
import type { NodeJson } from "./nodes.ts";

/**
 * The state of a policy on a node. `waiting`: the node has not reported it yet. `unselected`: it is for a share of the ring without this node.
 * `ignored`: root of the node keeps the local policy. `silent`: the node does not report now.
 */
export type RolloutState =
  | "applied"
  | "waiting"
  | "refused"
  | "unsupported"
  | "ignored"
  | "unselected"
  | "silent";

export interface NodeRollout {
  readonly node: string;
  readonly state: RolloutState;
  /** The serial in force there; `null`: none of the fleet, or not known. */
  readonly serial: number | null;
  readonly why: string | null;
}

export interface ReportingNode {
  readonly node: NodeJson;
  /** `undefined`: it has never reported, or in a form that this release does not know. */
  readonly report: NodeMessage | undefined;
}

/** The policy whose rollout is looked at. */
export type RolledOut = Pick<PolicyBody, "ring" | "serial" | "percent" | "sha256"> & {
  /** The digest of its document. */
  readonly digest: string;
};

/** Returns what each node of a ring made of its policy. Nodes that were invited and never reported are in no ring yet. */
export function listRollout(policy: RolledOut, nodes: readonly ReportingNode[]): NodeRollout[] {
  return nodes.flatMap(({ node, report }) => {
    if (report?.ring !== policy.ring || node.state === "revoked") return [];
    return [{ node: node.node, ...rolloutOf(policy, node, report) }];
  });
}

function rolloutOf(
  { ring, serial, percent, sha256, digest }: RolledOut,
  { node, state, watch }: NodeJson,
  { policy }: NodeMessage,
): Omit<NodeRollout, "node"> {
  const inForce = policy?.serial ?? null;
  const is = (state: RolloutState, why: string | null = null) => ({ state, serial: inForce, why });
  const isInForce = policy?.in_force_ring === ring && inForce === serial;
  if (isInForce && policy?.state === "applied") return is("applied");
  if (state === "silent") return is("silent");
  if (policy?.state === "ignored") return is("ignored", policy.why);
  if (!isSelected(percent, node, sha256)) return is("unselected");
  if (policy === null || policy === undefined)
    return is("waiting", `its ffrtmp watch ${watch === "running" ? "follows no fleet" : "does not run"}`);
  // What it says about an earlier one does not count.
  if (policy.sent === digest && (policy.state === "refused" || policy.state === "unsupported"))
    return is(policy.state, policy.why);
  return is("waiting");
}

export function countStates(nodes: readonly NodeRollout[]): Record<RolloutState, number> {
  const counts = { applied: 0, waiting: 0, refused: 0, unsupported: 0, ignored: 0, unselected: 0, silent: 0 };
  for (const { state } of nodes) counts[state]++;
  return counts;
}

/** `3 applied, 1 refused` */
export function stateCountsText(nodes: readonly NodeRollout[]): string {
  const counts = Object.entries(countStates(nodes)).filter(([, count]) => count > 0);
  return counts.map(([state, count]) => `${count} ${state}`).join(", ") || "no node has reported";
}
