import type { NatsConnection } from "@nats-io/nats-core";
import { isAtLeast } from "./natsServer.ts";

/**
 * The first version that checks `Nats-Expected-Last-Subject-Sequence-Subject`. An earlier one ignores it without an error, and
 * gives the same attempt to two nodes.
 */
const OLDEST = [2, 11] as const;

/** Returns why the server of a connection can hand out no jobs; `undefined`: it can. */
export function lacksDispatch(connection: NatsConnection): string | undefined {
  const version = connection.info?.version ?? "of an unknown version";
  if (isAtLeast(version, OLDEST)) return undefined;
  return `the hub is nats-server ${version}, which can show nodes and results; handing out jobs needs 2.11`;
}
