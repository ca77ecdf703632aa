import { hostname } from "node:os";
import type { NatsConnection } from "@nats-io/nats-core";
import type { FleetDirectory } from "../../../fleet/hub/fleetDirectory.ts";
import { listNodes } from "../../../fleet/hub/nodes.ts";
import { readStream } from "../../../fleet/hub/readStream.ts";
import type { ReportingNode } from "../../../fleet/hub/rollout.ts";
import { nodeMessage } from "../../../fleet/messages/node.ts";
import { IdNames, USERS_FILE } from "../../../linux/proc/idNames.ts";

/** Returns who signs, for those who read it later. It is no proof. */
export function operatorName(): string {
  return `${process.env["SUDO_USER"] ?? nameOfUser()}@${hostname()}`;
}

/** Reads all nodes with their last reports. */
export async function readReports(
  connection: NatsConnection,
  directory: FleetDirectory,
  node?: string,
): Promise<ReportingNode[]> {
  const known = new Set(Object.keys(directory.read().nodes));
  const reports = await readStream(connection, "NODES", nodeMessage, { node, onlyLast: true });
  const latest = new Map(reports.messages.map((each) => [each.node, each.message]));
  return listNodes(known, reports).map((each) => ({ node: each, report: latest.get(each.node) }));
}

/** Not that of os.userInfo(): the runtime takes it from USER, which services and containers do not set. */
function nameOfUser(): string {
  const uid = process.getuid?.() ?? 0;
  return new IdNames(USERS_FILE).nameOf(uid, Date.now()) ?? `uid ${uid}`;
}
