import { type NatsConnection, RequestError } from "@nats-io/nats-core";
import type { NKey } from "../keys/nkey.ts";
import { inboxPrefix, lastResultRequest } from "../messages/subjects.ts";
import { type HubAddress, hubUrl } from "./address.ts";
import { connectToHub, HubRefusal } from "./connection.ts";
import { type FleetDirectory, serversOf } from "./fleetDirectory.ts";
import { ADMIN_INBOX } from "./permissions.ts";
import { outlastReloads } from "./reloads.ts";

/** A reload takes some ms, and a machine can be busy. */
const RELOAD_TIMEOUT_MS = 5000;
const POLL_MS = 50;
/** A server that reads its users again closes some connections before they are made: seen as a refusal, in 1 of 60 reloads. */
const UNREACHABLE_MS = 1000;

/**
 * Connects as the operator, for requests that outlast a reload of the server. `host`: under another name than nodes use, such as
 * 127.0.0.1.
 */
export async function connectAsAdmin(directory: FleetDirectory, host?: string): Promise<NatsConnection> {
  return outlastReloads(await connectAs(directory, () => directory.adminSeed(), { host }));
}

/** What a hub does with a key that was just written. */
export type Reload = "read" | "not read" | HubRefusal;

/** Waits until all servers of the hub have read the version of its users that `probe` was made for. */
export async function waitForReload(directory: FleetDirectory, probe: Pick<NKey, "seed">): Promise<Reload> {
  const servers = serversOf(directory.read());
  const answers = await Promise.all(servers.map((server) => waitForServer(directory, probe, server)));
  return answers.find((answer) => answer !== "read") ?? "read";
}

async function waitForServer(
  directory: FleetDirectory,
  probe: Pick<NKey, "seed">,
  server: HubAddress,
): Promise<Reload> {
  const startMs = performance.now();
  const endMs = startMs + RELOAD_TIMEOUT_MS;
  while (performance.now() < endMs) {
    try {
      const connection = await connectAs(directory, () => probe.seed, { only: [server], tries: 1 });
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
 * Waits until a node that was just added reaches the streams from each server. A server that has read its users once knows the node,
 * and not yet the subjects that its account imports. Returns false where it does not reach them.
 */
export async function waitForImports(
  directory: FleetDirectory,
  node: string,
  seed: string,
): Promise<boolean> {
  const servers = serversOf(directory.read());
  const answers = await Promise.all(servers.map((server) => reachesStreams(directory, node, seed, server)));
  return !answers.includes(false);
}

async function reachesStreams(
  directory: FleetDirectory,
  node: string,
  seed: string,
  server: HubAddress,
): Promise<boolean> {
  const endMs = performance.now() + RELOAD_TIMEOUT_MS;
  while (performance.now() < endMs) {
    const options = { only: [server], inboxPrefix: inboxPrefix(node) };
    const connection = await connectAs(directory, () => seed, options);
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
    only,
    tries,
    inboxPrefix = ADMIN_INBOX,
  }: { host?: string | undefined; only?: HubAddress[]; tries?: number; inboxPrefix?: string } = {},
): Promise<NatsConnection> {
  // First, because it says what is missing where there is no fleet.
  const fleet = directory.read();
  const addresses = host === undefined ? (only ?? serversOf(fleet)) : [{ ...fleet.hub, host }];
  const credentials = {
    hub: addresses.map(hubUrl),
    authority: directory.authority(),
    seed: seedOf(),
    inboxPrefix,
    name: "ffrtmp fleet",
  };
  return connectToHub(credentials, tries);
}
