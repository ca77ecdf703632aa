import type { NatsConnection } from "@nats-io/nats-core";
import { connectAsAdmin } from "../../../fleet/hub/admin.ts";
import { explainFailure } from "../../../fleet/hub/connection.ts";
import { FleetDirectory, locateFleet, unknownNode } from "../../../fleet/hub/fleetDirectory.ts";
import { withoutGrowth } from "../../../fleet/hub/growthLock.ts";
import { listNodes, type NodeJson } from "../../../fleet/hub/nodes.ts";
import { readStream, type StreamPart } from "../../../fleet/hub/readStream.ts";
import { type NodeMessage, nodeMessage } from "../../../fleet/messages/node.ts";
import { isNodeName } from "../../../fleet/nodeConfig.ts";
import { Refusal } from "../../../jobs/errors.ts";
import type { FleetFlags } from "./init.ts";

/** Calls `use` with a connection of the operator, which ends with it. Throws a Refusal while the hub grows. */
export async function withHub<T>(
  { dir }: FleetFlags,
  use: (connection: NatsConnection, directory: FleetDirectory) => Promise<T>,
): Promise<T> {
  const directory = new FleetDirectory(locateFleet(dir));
  return withoutGrowth(directory.path, () => {
    if (directory.pendingTransfer !== undefined)
      throw new Refusal(
        "the streams of the hub were saved, and its servers do not have them yet",
        "stop the hub, start its servers with the files that ffrtmp fleet grow made, and then: ffrtmp fleet setup",
      );
    return connected(directory, use);
  });
}

/** The same also while the hub grows. */
export async function connected<T>(
  directory: FleetDirectory,
  use: (connection: NatsConnection, directory: FleetDirectory) => Promise<T>,
): Promise<T> {
  const connection = await connectAsAdmin(directory);
  try {
    return await use(connection, directory);
  } catch (error) {
    throw explainFailure(error, "read the fleet");
  } finally {
    await connection.close();
  }
}

export interface ReportedNodes {
  readonly nodes: NodeJson[];
  readonly reports: StreamPart<NodeMessage>;
}

/** Reads the last report of each node, or of one. Throws a Refusal for a name that no node has or had. */
export function readNodes(flags: FleetFlags, only?: string): Promise<ReportedNodes> {
  return withHub(flags, async (connection, directory) => {
    const names = Object.keys(directory.read().nodes);
    checkNodeName(only, names);
    const reports = await readStream(connection, "NODES", nodeMessage, { node: only, onlyLast: true });
    const nodes = listNodes(new Set(names), reports).filter(
      ({ node }) => only === undefined || node === only,
    );
    if (only !== undefined && nodes.length === 0) throw unknownNode(only, names);
    return { nodes, reports };
  });
}

/** Throws a Refusal for what no node can be called, such as a wildcard of subjects. */
export function checkNodeName(node: string | undefined, names: readonly string[]): void {
  if (node !== undefined && !isNodeName(node)) throw unknownNode(node, names);
}
