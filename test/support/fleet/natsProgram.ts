import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { findNatsServer, isAtLeast } from "../../../src/fleet/hub/natsServer.ts";

/** scripts/setup.sh takes it out of Debian's package, which would also start a server. */
const CACHED = join(homedir(), ".cache/ffrtmp/nats-server");

/** The nats-server of the tests, 2.11 or later. */
export const NATS_SERVER = existsSync(CACHED) ? CACHED : "nats-server";

export function lacksNatsServer(): string | undefined {
  if (Bun.which("openssl") === null) return "needs openssl";
  try {
    const { version } = findNatsServer(existsSync(CACHED) ? CACHED : undefined);
    return isAtLeast(version, [2, 11])
      ? undefined
      : `needs nats-server 2.11 or later, and this is ${version}`;
  } catch {
    return "needs nats-server 2.11 or later";
  }
}
