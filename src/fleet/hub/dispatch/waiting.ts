import type { NodeJson } from "../nodes.ts";
import type { ReportingNode } from "../rollout.ts";

/** What the hub knows about who could claim a job. */
export interface PoolView {
  /** The pools whose jobs each node may claim, by its invite. */
  readonly pools: ReadonlyMap<string, readonly string[]>;
  readonly nodes: readonly ReportingNode[];
  /** The names of the signed templates that the hub has. */
  readonly stored: ReadonlySet<string>;
  /** The queues are closed: see `ffrtmp fleet restore`. */
  readonly isClosed: boolean;
}

interface Wanted {
  readonly pool: string;
  readonly template: string;
}

const MAX_NAMED = 3;

/**
 * Returns why no node claims an attempt now that may be claimed, by the last reports of the nodes; `null`: one may, or it is not
 * known.
 */
export function whyWaiting(wanted: Wanted, view: PoolView): string | null {
  if (view.isClosed) return "the queues are closed until ffrtmp fleet restore --finish";
  const members = membersOf(wanted.pool, view);
  if (members.length === 0) return `no node is in the pool ${wanted.pool}`;
  const byReason = new Map<string, string[]>();
  for (const { name, node } of members) {
    const reason = obstacleOf(node, wanted, view);
    if (reason === null) return null;
    byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  }
  return `no node can claim it: ${[...byReason].map(([reason, names]) => `${reason} (${namesText(names)})`).join("; ")}`;
}

/** Returns why no node of the pool could make a command of a template, by their last reports; `null`: one could, or it is not known. */
export function whyNoTemplate(wanted: Wanted, view: PoolView): string | null {
  const members = membersOf(wanted.pool, view);
  if (members.length === 0) return null;
  const there = new Set<string>();
  for (const { node } of members) {
    if (node?.report === undefined) return null;
    const has = hasTemplate(node, wanted.template, view.stored);
    if (has !== false) return null;
    const accepts = node.report.accepts;
    for (const template of accepts?.templates ?? []) there.add(template);
    if (accepts?.signed_templates) for (const template of view.stored) there.add(template);
  }
  const theirs = there.size === 0 ? "they have none" : `theirs are ${[...there].sort().join(", ")}`;
  return `no node of the pool ${wanted.pool} has a template ${wanted.template}; ${theirs}`;
}

function membersOf(
  pool: string,
  { pools, nodes }: PoolView,
): { name: string; node: ReportingNode | undefined }[] {
  return [...pools]
    .filter(([, ofNode]) => ofNode.includes(pool))
    .map(([name]) => ({ name, node: nodes.find(({ node }) => node.node === name) }));
}

/** Returns why a node does not claim, the most lasting reason first; `null`: it may, or it is not known. */
function obstacleOf(
  node: ReportingNode | undefined,
  { pool, template }: Wanted,
  view: PoolView,
): string | null {
  const silence = silenceOf(node?.node);
  if (silence !== null) return silence;
  const { dispatch, capacity, accepts, cordoned } = node?.report ?? {};
  if (dispatch?.state === "off") return "root accepts no jobs of the fleet";
  if (dispatch?.state === "refused" || dispatch?.state === "failing")
    return `it takes no jobs: ${dispatch.why ?? "its agent gives no reason"}`;
  if (accepts != null && !accepts.pools.includes(pool)) return `root accepts no jobs of the pool ${pool}`;
  if (node !== undefined && hasTemplate(node, template, view.stored) === false)
    return `no template ${template}`;
  if (cordoned != null) return `cordoned: ${cordoned.reason}`;
  return capacity?.free === 0 ? "no free slot" : null;
}

function silenceOf(node: NodeJson | undefined): string | null {
  if (node === undefined || node.state === "invited") return "never reported";
  return node.state === "silent" ? "silent" : null;
}

/** `undefined`: it is not known, as from reports of earlier releases. */
function hasTemplate(
  { report }: ReportingNode,
  template: string,
  stored: ReadonlySet<string>,
): boolean | undefined {
  const accepts = report?.accepts;
  // Root that accepts no jobs can have templates for later.
  if (accepts == null) return undefined;
  if (accepts.templates.includes(template)) return true;
  if (accepts.signed_templates && stored.has(template)) return true;
  return accepts.more > 0 ? undefined : false;
}

function namesText(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return `${names.slice(0, MAX_NAMED).join(", ")}${more}`;
}
