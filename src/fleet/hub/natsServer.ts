import { Refusal } from "../../jobs/errors.ts";

/** The first version with `sync_interval: always`. */
const OLDEST = [2, 10] as const;

/** nats-server of Debian is outside of the PATH of ordinary users. */
const PLACES = ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/**
 * How the runtime of nats-server uses memory. `GOGC`: how much the heap may grow before it is collected, in percent. Go's default of
 * 100 is for programs that allocate more: a hub has 90 KB for each node that stay. `gcshrinkstackoff`: each collection would halve the
 * stacks of the connections, which the next message needs again.
 */
const RUNTIME = { GOGC: "20", GODEBUG: "gcshrinkstackoff=1" };

/** Returns the environment of a hub. What the operator has set stays. */
export function serverEnvironment(
  env: Record<string, string | undefined>,
): Record<string, string | undefined> {
  return { ...RUNTIME, ...env };
}

/** An executable of nats-server, with its version as the program prints it. */
export interface NatsServer {
  readonly path: string;
  readonly version: string;
}

/** Finds a nats-server that can be a hub. Throws a Refusal. */
export function findNatsServer(named: string | undefined): NatsServer {
  const search = [process.env["PATH"], ...PLACES].join(":");
  const path = named ?? Bun.which("nats-server", { PATH: search });
  const hint =
    "install nats-server 2.10 or later (https://nats.io/download), or name it with --nats-server FILE";
  if (path === null) throw new Refusal("nats-server is not installed", hint);
  const version = readVersion(path);
  if (version === undefined) throw new Refusal(`${path} is not nats-server: it prints no version`, hint);
  if (!isAtLeast(version, OLDEST))
    throw new Refusal(`${path} is nats-server ${version}, which is too old`, hint);
  return { path, version };
}

// nats-server: v2.15.1
function parseVersion(text: string): string | undefined {
  return /^nats-server: v(\d+\.\d+\.\d+\S*)/.exec(text)?.[1];
}

export function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

function readVersion(path: string): string | undefined {
  try {
    const { stdout } = Bun.spawnSync({ cmd: [path, "--version"], stderr: "ignore", timeout: 10_000 });
    return parseVersion(stdout.toString());
  } catch {
    return undefined;
  }
}
