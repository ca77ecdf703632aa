import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { findNatsServer, isAtLeast, type NatsServer } from "../../../src/fleet/hub/natsServer.ts";

/** scripts/setup.sh takes it out of Debian's package, which would also start a server. */
const CACHED = join(homedir(), ".cache/ffrtmp/nats-server");
const found = findServer();

/** The nats-server of the tests, where `lacksNatsServer` finds none missing. */
export const NATS_SERVER = found?.path ?? "nats-server";

/** Returns why there is no hub to test with, or `undefined`. */
export function lacksNatsServer(): string | undefined {
  if (Bun.which("openssl") === null) return "needs openssl";
  if (found !== undefined && isAtLeast(found.version, [2, 11])) return undefined;
  return `needs nats-server 2.11 or later${found === undefined ? "" : `, and this is ${found.version}`}`;
}

function findServer(): NatsServer | undefined {
  try {
    return findNatsServer(existsSync(CACHED) ? CACHED : undefined);
  } catch {
    return undefined;
  }
}
