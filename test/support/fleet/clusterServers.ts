import { statSync } from "node:fs";
import { FleetDirectory } from "../../../src/fleet/hub/fleetDirectory.ts";
import { freePort } from "../ports.ts";
import { type Sandbox, until } from "../sandbox.ts";
import type { FleetHub } from "./fleetHub.ts";
import { NATS_SERVER } from "./natsProgram.ts";

/** Returns three ports for clients, whose ports for the other servers are free as well. `first`: one of them. */
export function clusterPorts(first?: number): number[] {
  const ports = new Set<number>(first === undefined ? [] : [first]);
  while (ports.size < 3) {
    const port = freePort();
    if (port < 63_000) ports.add(port);
  }
  return [...ports];
}

/** The servers of a hub, each a process of its own in its directory. They end with the sandbox. */
export class ClusterServers {
  readonly directory: FleetDirectory;
  readonly #sandbox: Sandbox;
  readonly #servers = new Map<string, Bun.Subprocess>();

  constructor(sandbox: Sandbox, hub: FleetHub) {
    this.#sandbox = sandbox;
    this.directory = new FleetDirectory(hub.directory);
  }

  get addresses(): string[] {
    const { hub, servers } = this.directory.read();
    return [hub, ...servers].map(({ host, port }) => `${host}:${port}`);
  }

  start(address: string): void {
    const cwd = this.directory.serverDirectories[this.addresses.indexOf(address)];
    if (cwd === undefined) throw new Error(`no server ${address}`);
    const cmd = [NATS_SERVER, "--config", "nats-server.conf", "--log", "nats-server.log"];
    const server = this.#sandbox.spawn(cmd, { cwd, stdout: "ignore", stderr: "ignore" });
    this.#servers.set(address, server);
  }

  startAll(): void {
    for (const address of this.addresses) this.start(address);
  }

  async kill(address: string): Promise<void> {
    this.#servers.get(address)?.kill("SIGKILL");
    await this.#servers.get(address)?.exited;
  }

  /** Makes all of them read their users again. */
  reload(): void {
    for (const server of this.#servers.values()) server.kill("SIGHUP");
  }

  /** The same as soon as a command has written them, as an operator does who copies them. */
  async reloadFor<T>(command: () => Promise<T>): Promise<T> {
    const last = this.directory.usersFiles.at(-1) as string;
    const before = statSync(last).ino;
    const answer = command();
    await until("the users of the last server are written", () => statSync(last).ino !== before);
    this.reload();
    // As the service of the hub: see its ExecReload in docs/fleet.md.
    await Bun.sleep(1000);
    this.reload();
    return answer;
  }

  async close(): Promise<void> {
    for (const address of this.#servers.keys()) await this.kill(address);
  }
}

/** Calls a command again until it succeeds, as an operator does. */
export async function persist(hub: FleetHub, ...args: string[]): Promise<void> {
  await until(`ffrtmp fleet ${args.join(" ")} succeeds`, async () => (await hub.run(...args)).code === 0);
}
