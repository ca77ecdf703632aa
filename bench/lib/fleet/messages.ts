/** The ring whose policies the nodes follow. */
export const RING = "stable";

/** What the benchmark tells a process of simulated nodes. */
export type ToNodes =
  | { kind: "start"; nodes: { node: string; seed: string }[]; hub: string; caFile: string }
  /** From now on, jobs end at this rate over all nodes of the process; 0: none. */
  | { kind: "end jobs"; perSecond: number }
  | { kind: "count" };

/** What such a process answers. Times are ms since the epoch. */
export type FromNodes =
  /** The agents with a connection have become as many as there are nodes, or fewer than that. */
  | { kind: "connections"; all: boolean; atMs: number }
  /** How many results each node has recorded. */
  | { kind: "counted"; results: Record<string, number> }
  /** The last node has the policy. */
  | { kind: "policy"; atMs: number };
