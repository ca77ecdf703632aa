import { linkSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, makeServerCertificate } from "../keys/authority.ts";
import { writePrivate } from "../keys/privateFile.ts";
import type { HubAddress } from "./address.ts";
import { HUB_FILES, serverConfig } from "./serverConfig.ts";

/** Returns the directories of the servers of a hub. `hub`: that of the first one, which comes first. */
export function serverDirectories(hub: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? hub : `${hub}-${index + 1}`));
}

/**
 * Makes the certificates of the servers of a hub, each for the names of all: a node that was told of a further server by the one that
 * it knows asks for the name that it knows.
 */
export function makeCertificates(authority: Certificate, addresses: readonly HubAddress[]): Certificate[] {
  // By the others, the server's own machine reaches it.
  const hosts = new Set([...addresses.map(({ host }) => host), "localhost", "127.0.0.1", "::1"]);
  return addresses.map(() => makeServerCertificate(authority, [...hosts]));
}

/**
 * Writes certificates, keys and configuration of all servers. `dataOfFirst`: the first server's directory of data, if not the usual
 * one.
 */
export function writeServers(
  hub: string,
  addresses: readonly HubAddress[],
  certificates: readonly Certificate[],
  authority: string,
  dataOfFirst?: string,
): void {
  for (const [index, path] of serverDirectories(hub, addresses.length).entries()) {
    const [server, address] = [certificates[index], addresses[index]] as [Certificate, HubAddress];
    const others = addresses.filter((each) => each !== address);
    mkdirSync(path, { mode: 0o700, recursive: true });
    writePrivate(join(path, HUB_FILES.certificate), server.certificate);
    writePrivate(join(path, HUB_FILES.key), server.key);
    if (others.length > 0) writePrivate(join(path, HUB_FILES.authority), authority);
    const config = serverConfig(address, others, index === 0 ? dataOfFirst : undefined);
    writePrivate(join(path, HUB_FILES.config), config);
  }
}

/**
 * Keeps the configuration of a hub of one server beside it, before the one of many replaces it. Returns the path of what is kept.
 */
export function keepFirstConfig(hub: string): string {
  const config = join(hub, HUB_FILES.config);
  const kept = `${config}.before`;
  // Where an earlier call was interrupted, it is kept already. The hub can be started at any time: its file is always there.
  if (!isOfMany(config)) {
    rmSync(kept, { force: true });
    linkSync(config, kept);
  }
  return kept;
}

function isOfMany(config: string): boolean {
  return readFileSync(config, "utf8").includes(`store_dir: "${HUB_FILES.dataOfMany}"`);
}
