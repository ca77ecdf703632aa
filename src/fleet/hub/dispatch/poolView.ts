import type { NatsConnection } from "@nats-io/nats-core";
import { templateSubject } from "../../messages/subjects.ts";
import { readDocuments } from "../documents.ts";
import type { Fleet } from "../fleetDirectory.ts";
import type { ReportingNode } from "../rollout.ts";
import type { PoolView } from "./waiting.ts";

/** Reads what tells which nodes could claim jobs. `nodes`: all of them, with their last reports. */
export async function readPoolView(
  connection: NatsConnection,
  fleet: Fleet,
  nodes: readonly ReportingNode[],
): Promise<PoolView> {
  // Templates are long, and most fleets have none at the hub.
  const isUsed = nodes.some(({ report }) => report?.accepts?.signed_templates);
  const stored = isUsed ? await readDocuments(connection, templateSubject("*")) : [];
  return {
    pools: new Map(Object.entries(fleet.nodes).map(([name, { pools }]) => [name, pools])),
    nodes,
    stored: new Set(stored.map(({ subject }) => subject.slice(templateSubject("").length))),
    isClosed: fleet.closed !== null,
  };
}
