import { type NatsConnection, RequestError } from "@nats-io/nats-core";
import type { NKey } from "../keys/nkey.ts";
import { inboxPrefix, lastResultRequest } from "../messages/subjects.ts";
import { hubUrl } from "./address.ts";
import { connectToHub, HubRefusal } from "./connection.ts";
import type { FleetDirectory } from "./fleetDirectory.ts";
import { ADMIN_INBOX } from "./permissions.ts";

/** A reload takes some ms, and a machine can be busy. */
const RELOAD_TIMEOUT_MS = 5000;
const POLL_MS = 50;
/** A server that reads its users again closes some connections before they are made: seen as a refusal, in 1 of 60 reloads. */
const UNREACHABLE_MS = 1000;

/** Connects as the operator. `host`: under another name than nodes use, such as 127.0.0.1. */
export function connectAsAdmin(directory: FleetDirectory, host?: string): Promise<NatsConnection> {
  return connectAs(directory, () => directory.adminSeed(), { host });
}

/** What a hub does with a key that was just written. */
export type Reload = "read" | "not read" | HubRefusal;

/** Waits until the hub has read the version of its users that `probe` was made for. */
export async function waitForReload(directory: FleetDirectory, probe: NKey): Promise<Reload> {
  const startMs = performance.now();
  const endMs = startMs + RELOAD_TIMEOUT_MS;
  while (performance.now() < endMs) {
    try {
      const connection = await connectAs(directory, () => probe.seed, { tries: 1 });
      await connection.close();
      return "read";
    } catch (error) {
      if (!(error instanceof HubRefusal)) throw error;
      const mayPass = error.fault === "unreachable" && performance.now() - startMs < UNREACHABLE_MS;
      if (error.fault !== "unknown key" && !mayPass) return error;
    }
    await Bun.sleep(POLL_MS);
  }
  return "not read";
}

/**
 * Waits until a node that was just added reaches the streams. A server that has read its users once knows the node, and not yet
 * the subjects that its account imports. Returns false where it does not reach them.
 */
export async function waitForImports(
  directory: FleetDirectory,
  node: string,
  seed: string,
): Promise<boolean> {
  const endMs = performance.now() + RELOAD_TIMEOUT_MS;
  while (performance.now() < endMs) {
    const connection = await connectAs(directory, () => seed, { inboxPrefix: inboxPrefix(node) });
    try {
      await connection.request(lastResultRequest(node), "", { timeout: RELOAD_TIMEOUT_MS });
      return true;
    } catch (error) {
      // Nothing answers yet, or the server closed the connection while it read its users again.
      if (!(error instanceof RequestError)) throw error;
    } finally {
      await connection.close();
    }
    await Bun.sleep(POLL_MS);
  }
  return false;
}

function connectAs(
  directory: FleetDirectory,
  seedOf: () => string,
  {
    host,
    tries,
    inboxPrefix = ADMIN_INBOX,
  }: { host?: string | undefined; tries?: number; inboxPrefix?: string } = {},
): Promise<NatsConnection> {
  // First, because it says what is missing where there is no fleet.
  const { hub } = directory.read();
  const credentials = {
    hub: [hubUrl(host === undefined ? hub : { ...hub, host })],
    authority: directory.authority(),
    seed: seedOf(),
    inboxPrefix,
    name: "ffrtmp fleet",
  };
  return connectToHub(credentials, tries);
}
