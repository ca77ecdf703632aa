import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { findNatsServer, isAtLeast, type NatsServer } from "../../../src/fleet/hub/natsServer.ts";

/** scripts/setup.sh takes both out of packages of Debian, which would also start a server. */
const CACHED = join(homedir(), ".cache/ffrtmp/nats-server");
/** The last version that compares no claims of several nodes. */
export const OLD_NATS_SERVER = join(homedir(), ".cache/ffrtmp/nats-server-2.10");
const found = findServer(existsSync(CACHED) ? CACHED : undefined);

/** The nats-server of the tests, where `lacksNatsServer` finds none missing. */
export const NATS_SERVER = found?.path ?? "nats-server";

/** Returns why there is no hub to test with, or `undefined`. */
export function lacksNatsServer(): string | undefined {
  if (Bun.which("openssl") === null) return "needs openssl";
  if (found !== undefined && isAtLeast(found.version, [2, 11])) return undefined;
  return `needs nats-server 2.11 or later${found === undefined ? "" : `, and this is ${found.version}`}`;
}

/** Returns why there is no nats-server 2.10 to test with, or `undefined`. */
export function lacksOldNatsServer(): string | undefined {
  const version = findServer(OLD_NATS_SERVER)?.version;
  if (version !== undefined && !isAtLeast(version, [2, 11])) return undefined;
  return `needs nats-server 2.10 as ${OLD_NATS_SERVER}, which scripts/setup.sh takes from Debian 13`;
}

function findServer(named: string | undefined): NatsServer | undefined {
  try {
    return findNatsServer(named);
  } catch {
    return undefined;
  }
}
